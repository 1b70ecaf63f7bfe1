//! What models read: interactions of users as padded lists, and queries as features of their text.

pub mod evidence;
pub mod interaction;
pub mod query;
