//! The section `learning` as written in the file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{duration::HumanDuration, located::Located, size::ByteSize};

/// What is learned from what users say about answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Learning {
    /// Whether decisions are kept and feedback is accepted.
    pub enabled: bool,
    /// The file of decisions and signals, relative to this file. By default it lies beside `state.file`, with `.learning`
    /// added to its name; without either, a restart forgets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Located<PathBuf>>,
    /// How long a decision can be given feedback.
    pub window: Located<HumanDuration>,
    /// How many days signals are kept.
    pub retention_days: Located<u32>,
    /// The age at which a signal weighs half.
    pub half_life: Located<HumanDuration>,
    /// Most signals of a user that shape the profile, the newest ones.
    pub history: Located<usize>,
    /// Most decisions that are kept.
    pub max_decisions: Located<usize>,
    /// Most decisions of one user that are kept.
    pub max_user_decisions: Located<usize>,
    /// Most signals of one user that are kept.
    pub max_user_signals: Located<usize>,
    /// Most users whose profiles are in memory.
    pub max_profiles: Located<u64>,
    /// Most signals of one user in a minute.
    pub signals_per_minute: Located<u32>,
    /// Most bytes of a feedback; an import may have a hundred times as many.
    pub body: Located<ByteSize>,
    /// Most decisions and signals that wait to be written.
    pub queue: Located<usize>,
    /// Most time that a request waits for what is known of its user.
    pub timeout: Located<HumanDuration>,
}

impl Default for Learning {
    fn default() -> Self {
        Self {
            enabled: true,
            file: None,
            window: HumanDuration::secs(24 * 3600).into(),
            retention_days: 90.into(),
            half_life: HumanDuration::secs(30 * 24 * 3600).into(),
            history: 64.into(),
            max_decisions: 100_000.into(),
            max_user_decisions: 200.into(),
            max_user_signals: 1_000.into(),
            max_profiles: 100_000.into(),
            signals_per_minute: 60.into(),
            body: ByteSize(64 << 10).into(),
            queue: 10_000.into(),
            timeout: HumanDuration(std::time::Duration::from_millis(20)).into(),
        }
    }
}
