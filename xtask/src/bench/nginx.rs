//! nginx in the gateway's place, as a yardstick for passing requests through, where it is installed.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// A running nginx; ended when dropped.
pub(super) struct Nginx {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Nginx {
    /// Starts nginx at `address` in front of the upstream, or returns none where it is not installed.
    pub(super) fn start(address: SocketAddr, upstream: SocketAddr) -> Result<Option<Self>> {
        let system = Some(std::path::PathBuf::from("/usr/sbin/nginx")).filter(|file| file.is_file());
        let Some(program) = process::find("nginx").or(system) else { return Ok(None) };
        let folder = workspace::cache()?.join("bench-nginx");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(address, upstream)).with_context(|| file.display().to_string())?;
        let mut command = Command::new(program);
        command.arg("-p").arg(&folder).arg("-c").arg(&file).stderr(Stdio::null());
        let child = command.spawn().context("starting nginx")?;
        Ok(Some(Self { child, address }))
    }

    /// The process whose children serve.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGKILL would leave nginx's workers behind; its own signal does not.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "daemon off;\nworker_processes auto;\npid nginx.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  upstream up {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}\n\
         \x20 server {{\n    listen {address};\n    keepalive_requests 1000000;\n\
         \x20   location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n  }}\n}}\n"
    )
}
