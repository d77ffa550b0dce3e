//! The directory that a capture is written to: whole or not at all, and never over anything.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::CaptureError;

/// A directory that will have the files of a capture.
#[derive(Debug)]
pub(super) struct Target {
    directory: PathBuf,
    /// Where the files are collected until all are there; none where the directory itself is there already.
    beside: Option<TempDir>,
}

impl Target {
    /// Makes sure, before any server is asked, that the files can be written.
    pub(super) fn claim(directory: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Write { path: directory.to_owned(), source };
        match fs::read_dir(directory) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(CaptureError::NotEmpty(directory.to_owned()));
                }
                let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                rustix::fs::access(directory, access).map_err(|error| failed(error.into()))?;
                return Ok(Self { directory: directory.to_owned(), beside: None });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(CaptureError::NoDirectory(directory.to_owned()));
            }
            Err(source) => return Err(failed(source)),
        }
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !parent.is_dir() {
            return Err(CaptureError::NoParent {
                directory: directory.to_owned(),
                parent: parent.to_owned(),
            });
        }
        let mut prefix = OsString::from(".");
        prefix.push(directory.file_name().unwrap_or_default());
        prefix.push(".new-");
        let beside = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), beside: Some(beside) })
    }

    /// Writes the files.
    pub(super) fn write(self, files: &[(&'static str, String)]) -> Result<(), CaptureError> {
        let Some(beside) = self.beside else {
            return write_into(&self.directory, files);
        };
        write_into(beside.path(), files)?;
        fs::rename(beside.path(), &self.directory)
            .map_err(|source| CaptureError::Write { path: self.directory, source })?;
        // It has another name now.
        let _ = beside.keep();
        Ok(())
    }
}

/// Writes the files into a directory, all of them or none.
fn write_into(directory: &Path, files: &[(&'static str, String)]) -> Result<(), CaptureError> {
    let mut made = Vec::new();
    let mut write = || -> Result<(), CaptureError> {
        for (name, text) in files {
            let path = directory.join(name);
            let failed = |source| CaptureError::Write { path: path.clone(), source };
            let mut file = File::create_new(&path).map_err(failed)?;
            made.push(path.clone());
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
        Ok(())
    };
    let written = write();
    if written.is_err() {
        for path in made {
            let _ = fs::remove_file(path);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_is_whole_or_not_there() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join("new");
        drop(Target::claim(&new).unwrap());
        assert!(names(parent.path()).is_empty());
        Target::claim(&new).unwrap().write(&[("a", "1".to_owned())]).unwrap();
        assert_eq!((names(parent.path()), names(&new)), (vec!["new".into()], vec!["a".into()]));
        assert!(matches!(Target::claim(&new), Err(CaptureError::NotEmpty(_))));
        assert!(matches!(Target::claim(&new.join("a")), Err(CaptureError::NoDirectory(_))));
        assert!(matches!(Target::claim(&parent.path().join("b/c")), Err(CaptureError::NoParent { .. })));
    }

    #[test]
    fn nothing_is_overwritten_in_a_directory_that_was_empty() {
        let empty = tempfile::tempdir().unwrap();
        let target = Target::claim(empty.path()).unwrap();
        fs::write(empty.path().join("b"), "mine").unwrap();
        let files = [("a", "1".to_owned()), ("b", "2".to_owned())];
        assert!(matches!(target.write(&files), Err(CaptureError::Write { .. })));
        assert_eq!(fs::read_to_string(empty.path().join("b")).unwrap(), "mine");
        assert_eq!(names(empty.path()), ["b"]);
    }
}
