//! The Lua script that updates spending and reserves money as one atomic step.

use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, aio::ConnectionLike};

/// The script's source.
const SOURCE: &str = include_str!("script.lua");

/// The script and its hash.
pub(super) struct ReserveScript(Script);

impl Default for ReserveScript {
    fn default() -> Self {
        Self(Script::new(SOURCE))
    }
}

impl ReserveScript {
    /// Runs the script by its hash, or by its source on a server that does not know it yet. `SCRIPT LOAD`, which a
    /// cluster's client sends to every node, would fail while an uninvolved node is down.
    pub(super) async fn run(
        &self,
        connection: &mut impl ConnectionLike,
        keys: &[String],
        arguments: &[String],
    ) -> RedisResult<Vec<i64>> {
        let command = |name: &str, script: &str| {
            let mut command = Cmd::new();
            command.arg(name).arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        match command("EVALSHA", self.0.get_hash()).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", SOURCE).query_async(connection).await
            }
            result => result,
        }
    }
}
