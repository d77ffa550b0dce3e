//! Which engine is meant: the one that the `docker` command of this user would talk to.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The engine's socket where nothing else is said.
const USUAL: &str = "/var/run/docker.sock";

/// What of the caller's environment decides.
struct Said {
    host: Option<String>,
    context: Option<String>,
    config: Option<PathBuf>,
    runtime: Option<PathBuf>,
}

/// The address of the engine: `DOCKER_HOST`, else that of the context which `DOCKER_CONTEXT` or the user's
/// configuration names, else the usual socket, else that of an engine which the user runs without root.
pub(super) fn host() -> String {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = text("DOCKER_CONFIG").map(PathBuf::from);
    let said = Said {
        host: text("DOCKER_HOST"),
        context: text("DOCKER_CONTEXT"),
        config: config.or_else(|| Some(etcetera::home_dir().ok()?.join(".docker"))),
        runtime: text("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    said.host(Path::new(USUAL))
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// `contexts/meta/HASH/meta.json` of the configuration.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

impl Said {
    fn host(self, usual: &Path) -> String {
        let socket = |path: &Path| format!("unix://{}", path.display());
        if let Some(host) = self.host {
            return host;
        }
        if let Some(host) = self.config.and_then(|config| of_context(&config, self.context)) {
            return host;
        }
        let rootless = self.runtime.map(|runtime| runtime.join("docker.sock"));
        match rootless.filter(|rootless| !usual.exists() && rootless.exists()) {
            Some(rootless) => socket(&rootless),
            None => socket(usual),
        }
    }
}

/// The address of a context; none: the default one, which has no file.
fn of_context(config: &Path, named: Option<String>) -> Option<String> {
    let current = || {
        let text = std::fs::read_to_string(config.join("config.json")).ok()?;
        serde_json::from_str::<Config>(&text).ok()?.current_context
    };
    let wanted = named.or_else(current).filter(|name| name != "default")?;
    std::fs::read_dir(config.join("contexts/meta")).ok()?.flatten().find_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("meta.json")).ok()?;
        let context: Context = serde_json::from_str(&text).ok()?;
        (context.name == wanted).then_some(context.endpoints.docker.host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_the_one_of_the_docker_command() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        std::fs::create_dir_all(at("config/contexts/meta/abc")).unwrap();
        std::fs::write(at("config/config.json"), r#"{"auths": {}, "currentContext": "colima"}"#).unwrap();
        let meta = r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///c","SkipTLSVerify":false}}}"#;
        std::fs::write(at("config/contexts/meta/abc/meta.json"), meta).unwrap();
        std::fs::write(at("docker.sock"), "").unwrap();
        let said = |host: Option<&str>, context: Option<&str>, config: bool| {
            let said = Said {
                host: host.map(str::to_owned),
                context: context.map(str::to_owned),
                config: config.then(|| at("config")),
                runtime: Some(directory.path().to_owned()),
            };
            said.host(&at("usual.sock")).replace(&*directory.path().to_string_lossy(), "")
        };
        assert_eq!(said(Some("tcp://h:1"), None, true), "tcp://h:1");
        assert_eq!(said(None, None, true), "unix:///c");
        assert_eq!(said(None, Some("default"), true), "unix:///docker.sock");
        assert_eq!(said(None, None, false), "unix:///docker.sock");
        std::fs::write(at("usual.sock"), "").unwrap();
        assert_eq!(said(None, None, false), "unix:///usual.sock");
    }
}
