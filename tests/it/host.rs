//! The host with the routing plugin, ONNX Runtime and the misbehaving guests.

mod adapt;
mod backend;
mod encoder;
mod fixture;
mod guest;
mod isolation;
mod open;
mod route;
mod trained;
