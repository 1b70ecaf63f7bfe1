//! The `users` import: the profile of one of this call's users.

use crate::{
    component::bindings::personaroute::router::users::{Host, UserProfileResult},
    context::Context,
};

impl Host for Context {
    /// Only users of this call are answered: a plugin cannot walk the table.
    fn profile(&mut self, user: String) -> wasmtime::Result<Option<UserProfileResult>> {
        let Some(known) = self.users.get(&user) else { return Ok(None) };
        let profile = known.clone().or_else(|| self.services.profile(&user));
        Ok(profile.map(UserProfileResult::from))
    }
}
