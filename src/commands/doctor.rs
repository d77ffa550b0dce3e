//! `thirdrun doctor`: which backends can be used here, and what mends what is missing.

mod images;

use crate::cli::DoctorArgs;
use crate::failure::{Exit, Failure};
use crate::sandbox::docker::engine::{self, Engine};
use crate::sandbox::docker::{self, Docker};
use crate::sandbox::{SandboxError, local};

/// Runs `thirdrun doctor`.
///
/// # Errors
/// When images cannot be built; that no backend can be used is its finding.
pub async fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let engine = engine::connect().await;
    if args.fix
        && let Ok((docker, _)) = &engine
    {
        images::build(docker).await?;
        anstream::println!();
    }
    let docker = docker_backend(engine).await;
    let local = local_backend(args);
    if args.fix && !docker {
        anstream::println!();
        anstream::println!(
            "--fix builds images for Docker; packages of this system are yours to install, as above"
        );
    }
    anstream::println!();
    let chosen = match (docker, local) {
        (true, _) => "--backend auto uses docker",
        (false, true) => "--backend auto uses local",
        (false, false) => {
            anstream::println!("thirdrun cannot rehearse anything here: follow one of the advices above");
            return Ok(Exit::Environment);
        }
    };
    anstream::println!("{chosen}");
    Ok(Exit::Pass)
}

async fn docker_backend(engine: Result<(Docker, Engine), SandboxError>) -> bool {
    let (docker, engine) = match engine {
        Ok(connected) => connected,
        Err(error) => {
            let advice = if error.is_denied() {
                "sudo usermod -aG docker \"$USER\", then log in again; or name another engine in DOCKER_HOST"
            } else {
                "start the engine (sudo systemctl start docker), or name it in DOCKER_HOST"
            };
            anstream::println!("docker   missing  {}", Failure::from(error).causes());
            anstream::println!("                  {advice}");
            return false;
        }
    };
    let images = docker::images(&docker).await;
    if images.is_empty() {
        anstream::println!("docker   no image engine {} (API {})", engine.version, engine.api);
        anstream::println!("                  get one: docker pull postgres:17");
        anstream::println!("                  or build them from Debian's packages: thirdrun doctor --fix");
        return false;
    }
    anstream::println!(
        "docker   ok       engine {} (API {}), images {}",
        engine.version,
        engine.api,
        images.join(", ")
    );
    true
}

fn local_backend(args: &DoctorArgs) -> bool {
    let installations = local::find_all(args.postgres_bin.as_deref());
    for one in &installations {
        anstream::println!("local    ok       PostgreSQL {} in {}", one.major, one.bin.display());
    }
    if installations.is_empty() {
        anstream::println!("local    missing  no PostgreSQL server with psql was found");
        let advice = if std::path::Path::new("/etc/debian_version").exists() {
            "sudo apt-get install postgresql"
        } else if cfg!(target_os = "macos") {
            "brew install postgresql@17"
        } else {
            "install your system's PostgreSQL server package"
        };
        anstream::println!("                  {advice}, or name its directory with --postgres-bin");
    }
    !installations.is_empty()
}
