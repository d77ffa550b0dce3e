//! Images with the packages of extensions: made once of the image that is wanted, by its own package manager.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::super::{SandboxError, Scope};
use super::{clones, engine};

/// The images, without their tag.
pub(super) const IMAGE: &str = "thirdrun-packages";
/// The label with the packages.
pub(super) const LABEL: &str = "thirdrun.packages";
/// Hexadecimal digits of a tag.
const DIGITS: usize = 16;

/// Installs what it is given, in images of Debian's kind and of Alpine's.
const INSTALL: &str = r#"set -e
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null; then
  apt-get update -q
  apt-get install -q -y --no-install-recommends -- "$@"
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*
elif command -v apk >/dev/null; then
  apk add --no-cache -- "$@"
else
  echo "this image has neither apt-get nor apk" >&2
  exit 1
fi
"#;

/// Whether somebody is installing packages, or that cannot be told. What the dead have left must be removed before.
pub(super) async fn are_being_installed(docker: &Docker) -> bool {
    let filters = HashMap::from([("label", vec![engine::SESSION]), ("name", vec!["-packages$"])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    docker.list_containers(Some(options)).await.map_or(true, |all| !all.is_empty())
}

/// An image like this one, with these packages.
pub(super) async fn with(
    docker: &Docker,
    image: String,
    packages: &[String],
    scope: &Scope,
) -> Result<String, SandboxError> {
    if packages.is_empty() {
        return Ok(image);
    }
    let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
    let id = docker.inspect_image(&image).await.map_err(failed)?.id.unwrap_or_default();
    let mut digits: String = Sha256::digest(format!("{id}\n{}", packages.join("\n")))
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.truncate(DIGITS);
    let made = format!("{IMAGE}:{digits}");
    if docker.inspect_image(&made).await.is_ok() {
        return Ok(made);
    }
    scope.tell(&format!("installing {} into a copy of the image {image}", packages.join(" ")));
    let mut command: Vec<String> = ["sh", "-c", INSTALL, "sh"].into_iter().map(str::to_owned).collect();
    command.extend(packages.iter().cloned());
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(Vec::new()),
        cmd: Some(command),
        ..ContainerCreateBody::default()
    };
    let container = engine::start(docker, scope, &format!("{}-packages", scope.name()), body).await?;
    let ended = std::pin::pin!(docker.wait_container(&container, None)).next().await;
    // The driver takes an exit status that is not 0 for an error of its own.
    if !matches!(ended, Some(Ok(_))) {
        return Err(SandboxError::Packages {
            image,
            packages: packages.to_vec(),
            log: engine::log_tail(docker, &container).await,
        });
    }
    let labels = [(LABEL, packages.join(" "))];
    clones::commit(docker, &container, IMAGE, &digits, &labels).await.map_err(failed)?;
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    // What cannot be removed now is removed with the sandbox.
    let _ = docker.remove_container(&container, Some(options)).await;
    Ok(made)
}
