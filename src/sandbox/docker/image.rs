//! Which image a server runs in.

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::super::{SandboxError, SandboxPlan, Scope};

/// The images of `images/build`, without their tag.
const OWN: &str = "thirdrun-postgres";
/// The official images, without their tag.
const OFFICIAL: &str = "postgres";
/// The version that is taken where nothing asks for one.
const USUAL: u32 = 17;
/// The versions that `images/build` makes.
pub const MAJORS: [u32; 4] = [18, 17, 15, 13];

/// Chooses the image: the one that the plan names, else ours of the wanted version, else the official one,
/// which is pulled where the engine does not have it.
pub(super) async fn choose(
    docker: &Docker,
    plan: &SandboxPlan,
    scope: &Scope,
) -> Result<String, SandboxError> {
    if let Some(image) = &plan.image {
        return had(docker, image, plan.major, scope).await;
    }
    let Some(major) = plan.major else {
        // Nothing asks for a version: one that is here already is the quickest.
        for major in std::iter::once(USUAL).chain(MAJORS) {
            for name in [OWN, OFFICIAL] {
                let image = format!("{name}:{major}");
                if docker.inspect_image(&image).await.is_ok() {
                    return Ok(image);
                }
            }
        }
        return had(docker, &format!("{OFFICIAL}:{USUAL}"), Some(USUAL), scope).await;
    };
    let own = format!("{OWN}:{major}");
    if docker.inspect_image(&own).await.is_ok() {
        return Ok(own);
    }
    had(docker, &format!("{OFFICIAL}:{major}"), Some(major), scope).await
}

/// Pulls an image unless the engine has it.
pub(super) async fn had(
    docker: &Docker,
    image: &str,
    major: Option<u32>,
    scope: &Scope,
) -> Result<String, SandboxError> {
    if docker.inspect_image(image).await.is_ok() {
        return Ok(image.to_owned());
    }
    // Without a tag an engine would pull all of them.
    let tagged = image.rsplit('/').next().is_some_and(|name| name.contains([':', '@']));
    let wanted = if tagged { image.to_owned() } else { format!("{image}:latest") };
    scope.tell(&format!("pulling the image {wanted}"));
    let options = CreateImageOptionsBuilder::new().from_image(&wanted).build();
    let mut progress = std::pin::pin!(docker.create_image(Some(options), None, None));
    while let Some(step) = progress.next().await {
        if let Err(error) = step {
            let tag = |image: &String| image.rsplit(':').next()?.parse().ok();
            let found = present(docker).await.iter().filter_map(tag).collect();
            return Err(SandboxError::NoImage {
                image: image.to_owned(),
                major,
                found,
                source: Box::new(error),
            });
        }
    }
    Ok(image.to_owned())
}

/// The label with the hash of the script that built one of ours.
const BUILD: &str = "thirdrun.build";

/// The script that built our image of a version, by its hash; none where the engine has no such image.
pub async fn built_by(docker: &Docker, major: u32) -> Option<String> {
    let inspected = docker.inspect_image(&format!("{OWN}:{major}")).await.ok()?;
    let label = inspected.config.and_then(|config| config.labels?.remove(BUILD));
    Some(label.unwrap_or_default())
}

/// Our images that the engine has, and the official ones: for `doctor`.
pub(super) async fn present(docker: &Docker) -> Vec<String> {
    let mut found = Vec::new();
    for major in MAJORS {
        for name in [OWN, OFFICIAL] {
            let image = format!("{name}:{major}");
            if docker.inspect_image(&image).await.is_ok() {
                found.push(image);
            }
        }
    }
    found
}
