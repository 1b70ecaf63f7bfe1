//! The `encoder` import: embeddings of query text.

use crate::{
    bindings::personaroute::router::encoder::{EncoderError, Host},
    context::Context,
    encoder,
};

impl Host for Context {
    fn embed(&mut self, text: String) -> wasmtime::Result<Result<Vec<f32>, EncoderError>> {
        let Some(encoder) = &self.services.encoder else { return Ok(Err(EncoderError::Absent)) };
        Ok(encoder.embed(&text, self.deadline).map_err(|error| match error {
            encoder::EncoderError::Overloaded => {
                self.overloaded = true;
                EncoderError::Overloaded
            }
            encoder::EncoderError::Timeout => {
                self.timed_out = true;
                EncoderError::Timeout
            }
            encoder::EncoderError::Failed(reason) => EncoderError::Other(reason),
        }))
    }
}
