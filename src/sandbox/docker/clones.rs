//! Clones that are kept as images.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody, ImageSummary};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
    UploadToContainerOptionsBuilder,
};
use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use super::super::kept::{self, Claim, Key};
use super::super::{SandboxError, SandboxPlan, Scope};
use super::{engine, packages};
use crate::cache::{MOST, is_older};

/// The images of clones, without their tag, which is the key.
const IMAGE: &str = "thirdrun-seed";
/// The label with the key.
const SEED: &str = "thirdrun.seed";
/// The label with the note.
const NOTE: &str = "thirdrun.seed.note";
/// Changes whenever clones are kept in another way.
const KIND: u32 = 2;
/// Where the copy is unpacked, a directory that every image has; `docker/start.sh` looks there.
const SHARE: &str = "/usr/local/share";
/// Bytes of a copy that are sent at a time.
const PIECE: usize = 256 * 1024;

/// Whether a clone was kept.
pub(super) enum Found {
    /// It was.
    Kept {
        /// Its image.
        image: String,
        /// What was noted with it.
        note: String,
    },
    /// It was not, and is to be.
    ToKeep(Key, Claim),
    /// Nothing is kept.
    Nothing,
}

/// Looks for the clone of a fingerprint on a server of this image.
pub(super) async fn find(
    docker: &Docker,
    image: &str,
    plan: &SandboxPlan,
    clone: Option<&str>,
    scope: &Scope,
) -> Result<Found, SandboxError> {
    let Some(fingerprint) = clone else {
        return Ok(Found::Nothing);
    };
    let inspected = docker.inspect_image(image).await;
    let inspected = inspected.map_err(|error| SandboxError::Engine(Box::new(error)))?;
    let id = inspected.id.unwrap_or_default();
    let key = Key::new(fingerprint, plan, &format!("docker {KIND} {id} {}", plan.bootstrap));
    if let Some(found) = kept(docker, &key).await {
        key.touch();
        return Ok(found);
    }
    let Some(claim) = kept::claim(&key, scope).await else {
        return Ok(Found::Nothing);
    };
    // Whoever had the right before may have made it.
    Ok(kept(docker, &key).await.unwrap_or(Found::ToKeep(key, claim)))
}

async fn kept(docker: &Docker, key: &Key) -> Option<Found> {
    let image = format!("{IMAGE}:{}", key.digits());
    let inspected = docker.inspect_image(&image).await.ok()?;
    let note = inspected.config?.labels?.remove(NOTE)?;
    Some(Found::Kept { image, note })
}

/// Makes an image of the server's, with the copy of a cluster in it: a file in a file, since the engine unpacks what it is
/// given.
pub(super) async fn keep(
    docker: &Docker,
    scope: &Scope,
    image: &str,
    copy: &Path,
    (key, note): (&Key, &str),
) -> Result<(), SandboxError> {
    let failed = |error: bollard::errors::Error| SandboxError::Engine(Box::new(error));
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        // It is never started, but an engine wants one.
        cmd: Some(vec!["true".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let container = engine::create(docker, scope, &format!("{}-clone", scope.name()), body).await?;
    let made = async {
        let file = tokio::fs::File::open(copy).await.map_err(SandboxError::io("cannot read the copy"))?;
        let options = UploadToContainerOptionsBuilder::new().path(SHARE).build();
        let pieces = futures_util::stream::try_unfold(file, async |mut file| {
            let mut piece = BytesMut::with_capacity(PIECE);
            let read = file.read_buf(&mut piece).await?;
            Ok((read > 0).then(|| (piece.freeze(), file)))
        });
        let body = bollard::body_try_stream(pieces);
        docker.upload_to_container(&container, Some(options), body).await.map_err(failed)?;
        let labels = [(SEED, key.digits().to_owned()), (NOTE, note.to_owned())];
        commit(docker, &container, IMAGE, key.digits(), &labels).await.map_err(failed)
    };
    let made = made.await;
    engine::remove_one(docker, &container).await;
    made
}

/// Makes an image of a container, with these labels.
pub(super) async fn commit(
    docker: &Docker,
    container: &str,
    image: &str,
    tag: &str,
    labels: &[(&str, String)],
) -> Result<(), bollard::errors::Error> {
    let options =
        CommitContainerOptionsBuilder::new().container(container).repo(image).tag(tag).pause(false).build();
    // An image has the labels of its container unless it has others of that name; those would make whatever is
    // started from it look like the sandbox's own.
    let blank = [engine::SESSION, engine::HOST, engine::DIRECTORY, engine::CONTAINER]
        .map(|name| (name, String::new()));
    let all = labels.iter().cloned().chain(blank).map(|(name, value)| (name.to_owned(), value));
    let config = ContainerConfig { labels: Some(all.collect()), ..ContainerConfig::default() };
    docker.commit_container(options, config).await.map(drop)
}

/// A clone that is kept, and when it was last used.
struct Kept {
    /// Its tag, or its id where another image has taken the tag.
    name: String,
    used: SystemTime,
}

/// A clone or an image with packages that was old, and whether it is gone.
pub struct Old {
    /// The image.
    pub name: String,
    /// Whether it is an image with packages, rather than a clone.
    pub packages: bool,
    /// Whether it is gone. One that a container is made of stays.
    pub gone: bool,
}

/// The images with a label of ours, the one that was used last first.
async fn all(docker: &Docker, label: &str) -> Vec<Kept> {
    let filters = HashMap::from([("label", vec![label])]);
    let options = ListImagesOptionsBuilder::new().filters(&filters).build();
    let images = docker.list_images(Some(options)).await.unwrap_or_default();
    let mut all: Vec<Kept> = images.into_iter().map(of).collect();
    all.sort_by_key(|kept| std::cmp::Reverse(kept.used));
    all
}

fn of(image: ImageSummary) -> Kept {
    let created = Duration::from_secs(u64::try_from(image.created).unwrap_or_default());
    let noted = image.labels.get(SEED).and_then(|digits| kept::last_use(digits));
    let name = image.repo_tags.into_iter().find(|tag| tag.starts_with("thirdrun-"));
    Kept { name: name.unwrap_or(image.id), used: noted.unwrap_or(SystemTime::UNIX_EPOCH + created) }
}

/// Removes the clones that were not used for the longest time, so that no more than [`MOST`] stay.
pub(super) async fn bound(docker: &Docker) {
    for kept in all(docker, SEED).await.into_iter().skip(MOST) {
        remove(docker, &kept).await;
    }
}

/// Whether a clone was removed; one that a container is made of stays.
async fn remove(docker: &Docker, kept: &Kept) -> bool {
    docker.remove_image(&kept.name, None::<RemoveImageOptions>, None).await.is_ok()
}

/// Removes the clones, and the images with packages, that were never finished and whose maker is dead; says their ids.
/// The engine makes an image before it gives it its name, by which alone it is found.
pub async fn remove_unfinished(docker: &Docker, dry_run: bool) -> Vec<String> {
    let mut images = Vec::new();
    for label in [SEED, packages::LABEL] {
        let filters = HashMap::from([("label", vec![label]), ("dangling", vec!["true"])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        images.extend(docker.list_images(Some(options)).await.unwrap_or_default());
    }
    let installing = packages::are_being_installed(docker).await;
    let mut removed = Vec::new();
    for image in images {
        let in_the_making = image.labels.get(SEED).map_or(installing, |digits| kept::is_claimed(digits));
        // A clone has the labels of what it is made of.
        if in_the_making || removed.contains(&image.id) {
            continue;
        }
        // One that a container is made of is found the next time.
        if dry_run || docker.remove_image(&image.id, None::<RemoveImageOptions>, None).await.is_ok() {
            removed.push(image.id);
        }
    }
    removed
}

/// Removes the clones, and the images with packages, that were last used longer ago than this.
pub async fn remove_older(docker: &Docker, age: Duration, dry_run: bool) -> Vec<Old> {
    let mut removed = Vec::new();
    // Clones first: they are made of the images with packages. Each has the labels of what it is made of.
    let mut images: Vec<_> = all(docker, SEED).await.into_iter().map(|kept| (kept, false)).collect();
    for kept in all(docker, packages::LABEL).await {
        if !images.iter().any(|(clone, _)| clone.name == kept.name) {
            images.push((kept, true));
        }
    }
    for (kept, packages) in images {
        if is_older(kept.used, age) {
            let gone = dry_run || remove(docker, &kept).await;
            removed.push(Old { name: kept.name, packages, gone });
        }
    }
    removed
}
