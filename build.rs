//! Compiles the contract under `proto/` (with `protox`: no protoc to install) and makes cargo look
//! again when a knowledge file under `models/` comes or goes.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=models");
    println!("cargo:rerun-if-changed=migrations");
    let mut protos = Vec::new();
    collect(Path::new("proto"), &mut protos)?;
    protos.sort();
    let descriptors = protox::compile(&protos, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("xiangyi_descriptor.bin"), descriptors.encode_to_vec())?;
    let (link, doors) = part(descriptors, "xiangyi.link.v1");
    tonic_prost_build::configure()
        .codec_path("crate::rpc::codec::StrictCodec")
        // Objects and images pass through without being copied.
        .bytes(".xiangyi.imaging.v1")
        .include_file("xiangyi.rs")
        .compile_fds(doors)?;
    // The link has its own code: it is no door, and its peers are nodes.
    tonic_prost_build::configure()
        .bytes(".xiangyi.link.v1")
        .include_file("link.rs")
        .compile_fds(link)?;
    Ok(())
}

/// The files of one package, and all others.
fn part(all: FileDescriptorSet, package: &str) -> (FileDescriptorSet, FileDescriptorSet) {
    let (one, others) = all.file.into_iter().partition(|file| file.package() == package);
    (FileDescriptorSet { file: one }, FileDescriptorSet { file: others })
}

fn collect(dir: &Path, protos: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, protos)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            protos.push(path);
        }
    }
    Ok(())
}
