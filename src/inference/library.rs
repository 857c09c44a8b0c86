//! Where ONNX Runtime's library is looked for.
//!
//! Deliberately absent: the system's library path. What `dlopen` would find there depends on the
//! distribution and may be too old; an operator who wants it says so in the configuration.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

/// Places to look, in order of preference. Each may name the library or a directory that holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LibrarySearch {
    /// The path in the configuration file.
    pub configured: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`, handed in by `config`.
    pub environment: Option<PathBuf>,
    /// The directory of the executable.
    pub beside: Option<PathBuf>,
}

/// A place that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Absolute path of a library, or of the place where there is none.
    pub path: PathBuf,
    /// What is wrong with it, unless it is a file that can be tried.
    pub problem: Option<String>,
}

impl LibrarySearch {
    /// Looks at `configured`, `environment` and beside the running executable.
    pub fn new(configured: Option<PathBuf>, environment: Option<PathBuf>) -> Self {
        let beside =
            std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
        Self { configured, environment, beside }
    }

    /// Every library found and every place without one, in order.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for path in [&self.configured, &self.environment, &self.beside].into_iter().flatten() {
            // An empty `ORT_DYLIB_PATH` means unset.
            if !path.as_os_str().is_empty() {
                look(path, &mut places);
            }
        }
        places
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Some(problem) => write!(f, "{} ({problem})", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

fn look(path: &Path, places: &mut Vec<Place>) {
    // The loader would resolve a relative path against the executable, not the working directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let problem = match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => match libraries(&path) {
            Ok(found) if found.is_empty() => {
                Some(format!("no {DLL_PREFIX}onnxruntime{DLL_SUFFIX} in it"))
            }
            Ok(found) => {
                places.extend(found.into_iter().map(|path| Place { path, problem: None }));
                return;
            }
            Err(error) => Some(error.to_string()),
        },
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    places.push(Place { path, problem });
}

/// The ONNX Runtime libraries in a directory: the plain name first, then the newest version.
fn libraries(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some(version) = path.file_name().and_then(|n| n.to_str()).and_then(version_in) {
            found.push((version, path));
        }
    }
    found.sort_by(|(a, path_a), (b, path_b)| {
        b.is_empty().cmp(&a.is_empty()).then_with(|| b.cmp(a)).then_with(|| path_a.cmp(path_b))
    });
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The version numbers in a library's file name, none for the plain name; `None` for a file that
/// is something else. Linux writes `libonnxruntime.so.1.2.3`, macOS `libonnxruntime.1.2.3.dylib`.
pub(super) fn version_in(file_name: &str) -> Option<Vec<u32>> {
    let rest = file_name.strip_prefix(DLL_PREFIX)?.strip_prefix("onnxruntime")?;
    let (before, after) = rest.split_once(DLL_SUFFIX)?;
    format!("{before}{after}")
        .split('.')
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(version: &str) -> String {
        format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}{version}")
    }

    fn directory(files: &[String]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(directory.path().join(file), b"").unwrap();
        }
        directory
    }

    #[test]
    fn versioned_names_are_read_and_other_libraries_are_not() {
        assert_eq!(version_in(&name("")), Some(vec![]));
        assert_eq!(version_in(&name(".1.32.0")), Some(vec![1, 32, 0]));
        assert_eq!(
            version_in(&format!("{DLL_PREFIX}onnxruntime.1.32.0{DLL_SUFFIX}")),
            Some(vec![1, 32, 0])
        );
        let providers = format!("{DLL_PREFIX}onnxruntime_providers_shared{DLL_SUFFIX}");
        assert_eq!(version_in(&providers), None);
        assert_eq!(version_in(&name(".1.32.0.bak")), None);
        assert_eq!(version_in("onnxruntime.txt"), None);
    }

    #[test]
    fn a_directory_yields_the_plain_name_then_the_newest_version() {
        let files = [name(".1.9.0"), name(""), name(".1.32.0"), "notes.txt".to_owned()];
        let directory = directory(&files);
        let search = LibrarySearch { beside: Some(directory.path().into()), ..Default::default() };
        let found: Vec<PathBuf> = search.places().into_iter().map(|p| p.path).collect();
        let expected =
            [name(""), name(".1.32.0"), name(".1.9.0")].map(|f| directory.path().join(f));
        assert_eq!(found, expected);
    }

    #[test]
    fn places_keep_the_order_configuration_environment_executable() {
        let directory = directory(&[name(".1.24.0")]);
        let search = LibrarySearch {
            configured: Some("/nowhere/configured.so".into()),
            environment: Some("/nowhere/environment.so".into()),
            beside: Some(directory.path().into()),
        };
        let places = search.places();
        assert_eq!(places.len(), 3);
        assert_eq!(places[0].path, Path::new("/nowhere/configured.so"));
        assert!(places[0].problem.is_some());
        assert_eq!(places[1].path, Path::new("/nowhere/environment.so"));
        assert_eq!(
            places[2],
            Place { path: directory.path().join(name(".1.24.0")), problem: None }
        );
    }

    #[test]
    fn an_empty_environment_value_counts_as_unset() {
        let search = LibrarySearch { environment: Some(PathBuf::new()), ..Default::default() };
        assert_eq!(search.places(), vec![]);
    }

    #[test]
    fn a_directory_without_the_library_is_reported_as_such() {
        let directory = directory(&["other.so".to_owned()]);
        let search =
            LibrarySearch { configured: Some(directory.path().into()), ..Default::default() };
        let text = search.places()[0].to_string();
        assert!(text.contains("no ") && text.contains("onnxruntime"), "{text}");
    }
}
