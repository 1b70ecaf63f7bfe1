//! The `users` import: the profile of one of this call's users.

use crate::{
    bindings::personaroute::router::users::{Host, UserProfileResult},
    context::Context,
};

impl Host for Context {
    /// Returns profiles of this call's users only: a plugin cannot enumerate the user table.
    fn profile(&mut self, user: String) -> wasmtime::Result<Option<UserProfileResult>> {
        let Some(known) = self.users.get(&user) else { return Ok(None) };
        let profile = known.clone().or_else(|| self.services.profile(&user));
        Ok(profile.map(UserProfileResult::from))
    }
}
