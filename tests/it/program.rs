//! The program itself, as a process of its own: signals, its log, and real parts that fail.

mod running;
mod precedence;
mod user_ids;
mod signals;
mod degraded;
mod installed;
mod learning;
