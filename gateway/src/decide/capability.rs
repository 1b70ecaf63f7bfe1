//! What a request needs of an LLM.

pub use personaroute_bundle::catalog::Capability;

/// The capabilities a request needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequiredCapabilities(Vec<Capability>);

impl RequiredCapabilities {
    /// Adds `capability`.
    pub fn add(&mut self, capability: Capability) {
        if !self.0.contains(&capability) {
            self.0.push(capability);
        }
    }

    /// Returns the first need that `offered` lacks; an LLM that declares nothing is taken to do everything.
    pub fn first_missing(&self, offered: &[Capability]) -> Option<Capability> {
        if offered.is_empty() {
            return None;
        }
        self.0.iter().copied().find(|need| !offered.contains(need))
    }
}
