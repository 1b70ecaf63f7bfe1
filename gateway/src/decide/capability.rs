//! The capabilities that a request requires of an LLM.

pub use personaroute_bundle::catalog::Capability;

/// The capabilities a request requires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequiredCapabilities(Vec<Capability>);

impl RequiredCapabilities {
    /// Adds `capability`.
    pub fn add(&mut self, capability: Capability) {
        if !self.0.contains(&capability) {
            self.0.push(capability);
        }
    }

    /// Returns the first capability missing in `declared`. An LLM that declares none is assumed to have all.
    pub fn first_missing(&self, declared: &[Capability]) -> Option<Capability> {
        if declared.is_empty() {
            return None;
        }
        self.0.iter().copied().find(|need| !declared.contains(need))
    }
}
