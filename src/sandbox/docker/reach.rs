//! How thirdrun reaches a server in a container, and what keeps the container away from everything else.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use bollard::Docker;
use bollard::models::{HostConfig, NetworkCreateRequest, PortBinding};

use super::super::{SandboxError, Scope, door};
use super::PORT;
use super::engine::{self, Engine};

/// How thirdrun reaches a server in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Through its unix socket, in a directory that is mounted into the container, which has no network at
    /// all. The container must run on this very kernel.
    Socket,
    /// Through a port that the engine publishes on 127.0.0.1, where the engine runs in a virtual machine: a
    /// socket does not cross its border. The container's network has no address translation, so that no
    /// answer ever finds the way back to it from beyond this machine.
    Port,
}

impl Reach {
    /// The tightest way that an engine allows.
    pub(super) fn of(engine: &Engine) -> Self {
        let virtual_machine =
            !cfg!(target_os = "linux") || engine.operating_system.contains("Docker Desktop");
        if virtual_machine { Self::Port } else { Self::Socket }
    }

    /// What is left of the outside, in a sentence.
    pub(super) fn isolation(self) -> &'static str {
        match self {
            Self::Socket => "containers without a network, no way out",
            Self::Port => {
                "containers in a network that nothing beyond this machine answers; services of this machine \
                 that listen on all addresses can be reached"
            }
        }
    }

    /// The address that the server listens on. Where thirdrun can enter the container's network, 127.0.0.1 is
    /// the tap's.
    pub(super) fn listen(self, engine: &Engine) -> &'static str {
        match self {
            Self::Socket if Self::enters(engine) => door::SERVER,
            Self::Socket => door::HOST,
            Self::Port => "*",
        }
    }

    /// The address at which programs find the server.
    pub(super) fn host(self, engine: &Engine) -> &'static str {
        match self {
            Self::Socket => self.listen(engine),
            Self::Port => door::HOST,
        }
    }

    /// Whether thirdrun may enter the network namespace of a container, which the engine's own user may, on the machine
    /// itself.
    pub(super) fn enters(engine: &Engine) -> bool {
        cfg!(target_os = "linux")
            && rustix::process::geteuid().is_root()
            && !engine.rootless
            && engine.own.is_none()
    }

    /// Adds the server's network to what its container is made of.
    pub(super) async fn connect(
        self,
        docker: &Docker,
        scope: &Scope,
        host: &mut HostConfig,
    ) -> Result<(), SandboxError> {
        match self {
            Self::Socket => host.network_mode = Some("none".to_owned()),
            Self::Port => {
                let options = [
                    ("com.docker.network.bridge.enable_ip_masquerade", "false"),
                    ("com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"),
                ];
                let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                let network = NetworkCreateRequest {
                    name: scope.name(),
                    driver: Some("bridge".to_owned()),
                    options: Some(options.into_iter().map(own).collect()),
                    ..NetworkCreateRequest::default()
                };
                engine::make_network(docker, scope, network).await?;
                host.network_mode = Some(scope.name());
                // Without a number: the engine takes a free one.
                let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
                host.port_bindings = Some(HashMap::from([(exposed(), Some(vec![binding]))]));
            }
        }
        Ok(())
    }

    /// The address at which thirdrun reaches a started container; none: through its socket.
    pub(super) async fn address(
        self,
        docker: &Docker,
        container: &str,
    ) -> Result<Option<SocketAddr>, SandboxError> {
        match self {
            Self::Socket => Ok(None),
            Self::Port => {
                let port = engine::published_port(docker, container, &exposed()).await?;
                Ok(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
            }
        }
    }
}

/// The server's port, as the engine calls it.
pub(super) fn exposed() -> String {
    format!("{PORT}/tcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_virtual_machine_is_reached_through_a_port() {
        let engine = |operating_system: &str| Engine {
            version: String::new(),
            api: String::new(),
            operating_system: operating_system.to_owned(),
            cpus: 2,
            memory: 8 << 30,
            rootless: false,
            own: None,
        };
        assert_eq!(Reach::of(&engine("Debian GNU/Linux 12 (bookworm)")), Reach::Socket);
        assert_eq!(Reach::of(&engine("Docker Desktop")), Reach::Port);
    }
}
