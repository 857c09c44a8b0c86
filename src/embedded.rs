//! The knowledge and models of this build, inside the program: a node runs with nothing else.

use rust_embed::RustEmbed;

use crate::tables::files::Files;

#[derive(RustEmbed)]
#[folder = "models/"]
#[exclude = "*/train/*"]
struct Embedded;

/// Every embedded file.
pub fn files() -> Files {
    let mut files = Files::new();
    for path in Embedded::iter() {
        if let Some(file) = Embedded::get(&path) {
            files.insert(path, file.data);
        }
    }
    files
}
