//! What a user's signals have changed, for headers and explanations.

use serde::Serialize;

/// The part of a user's profile that was learned while serving.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Learned {
    /// Signals behind the profile.
    pub signals: usize,
    /// The preference that the user declared, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_preference: Option<f32>,
    /// The preference before any signal: the trained one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_preference: Option<f32>,
    /// The preference that the signals imply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_preference: Option<f32>,
    /// How far the signals have moved the user's embedding (Euclidean distance).
    pub moved: f32,
}
