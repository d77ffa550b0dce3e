//! The container that thirdrun itself runs in, where it does and the engine is the one that runs it: a directory that it
//! names has another name on the engine's machine.

use std::path::{Path, PathBuf};

use bollard::Docker;

/// Digits of a container's full identity.
const DIGITS: usize = 64;

/// thirdrun's own container.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its identity.
    pub(super) id: String,
    /// Where directories of the engine's machine are in it, and what they are called there.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl Own {
    /// Finds it; none where thirdrun runs in no container, or in another engine's.
    pub(super) async fn find(docker: &Docker) -> Option<Self> {
        let id = id()?;
        let inspected = docker.inspect_container(&id, None).await.ok()?;
        let mounts = inspected.mounts.unwrap_or_default().into_iter();
        let mounts = mounts.filter_map(|mount| Some((mount.destination?.into(), mount.source?.into())));
        Some(Self { id, mounts: mounts.collect() })
    }

    /// What the engine calls a directory; none where it is only in this container.
    pub(super) fn there(&self, here: &Path) -> Option<PathBuf> {
        let below = |(at, source): &(PathBuf, PathBuf)| {
            Some((at.components().count(), source.join(here.strip_prefix(at).ok()?)))
        };
        self.mounts.iter().filter_map(below).max_by_key(|(depth, _)| *depth).map(|(_, there)| there)
    }
}

/// The identity of the container that this process runs in, if it runs in one. Engines mount the files of names and
/// addresses out of a directory that is called after the container (Docker's `containers/ID/hostname`, Podman's
/// `overlay-containers/ID/userdata/hostname`).
pub(in super::super) fn id() -> Option<String> {
    of(&std::fs::read_to_string("/proc/self/mountinfo").ok()?)
}

fn of(mountinfo: &str) -> Option<String> {
    let is_id = |part: &&str| part.len() == DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mounted =
        |line: &&str| ["/hostname ", "/hosts ", "/resolv.conf "].iter().any(|file| line.contains(file));
    mountinfo.lines().filter(mounted).find_map(|line| {
        let (_, below) = line.split_once("containers/")?;
        below.split('/').next().filter(is_id).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_mounts() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!(
            "612 598 254:0 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        let podman = format!(
            "55 40 0:40 /user/overlay-containers/{id}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
        );
        assert_eq!((of(&docker), of(&podman)), (Some(id.clone()), Some(id)));
        assert_eq!(of("22 1 254:0 / / rw - ext4 /dev/vda rw\n"), None);
    }

    #[test]
    fn the_deepest_mount_says_what_a_directory_is_called() {
        let mount = |at: &str, source: &str| (at.into(), source.into());
        let own = Own {
            id: String::new(),
            mounts: vec![mount("/src", "/home/me/src"), mount("/src/db", "/srv/db")],
        };
        assert_eq!(own.there(Path::new("/src/db/scripts")), Some("/srv/db/scripts".into()));
        assert_eq!(own.there(Path::new("/src/other")), Some("/home/me/src/other".into()));
        assert_eq!(own.there(Path::new("/srcs")), None);
    }
}
