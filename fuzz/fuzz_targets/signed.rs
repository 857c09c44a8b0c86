//! Manifests of signed folders on any bytes: no panic, nothing is admitted (nothing here was ever
//! signed), what is read is written again byte for byte, and no path leads out of the folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::tables::files::Files;
use xiangyi::tables::signed::{self, MANIFEST, Trust, Unverified};

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Unverified::parse(data) {
        assert_eq!(manifest.write(&manifest.signature), data);
        for file in &manifest.files {
            let parts: Vec<&str> = file.path.split('/').collect();
            assert!(!parts.iter().any(|part| ["", ".", ".."].contains(part)));
            assert!(!file.path.contains(['\\', '\0']) && file.path != MANIFEST);
        }
    }
    let mut files = Files::new();
    files.insert(MANIFEST, data.to_vec());
    assert!(signed::admit(&files, &Trust::default()).is_err());
});
