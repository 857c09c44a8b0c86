//! From a stored object to the input of an imaging model. The same work in Python (pydicom, numpy,
//! Pillow) is measured by `benches/peers/tensors.py`.
//!
//! `cargo bench --bench tensors`

#![expect(clippy::unwrap_used, reason = "a benchmark: what goes wrong ends it")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use xiangyi::app::imaging::models::{GreyRange, TensorSpec};
use xiangyi::app::imaging::render::PixelSource;
use xiangyi::render::tensor::tensor;
use xiangyi::sharing::imaging::element::{Element, ElementSet, Value};
use xiangyi::sharing::imaging::writing::write;

/// A grey image of 16 bits in which 12 are stored: a ramp, as `tensors.py` makes it.
fn image(columns: u16, rows: u16) -> PixelSource {
    let mut set = ElementSet::default()
        .with_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .with_text(tags::RESCALE_INTERCEPT, VR::DS, "-1024")
        .with_text(tags::RESCALE_SLOPE, VR::DS, "1")
        .with_text(tags::WINDOW_CENTER, VR::DS, "40")
        .with_text(tags::WINDOW_WIDTH, VR::DS, "400");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 12),
        (tags::HIGH_BIT, 11),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        set = set.with_u16(tag, value);
    }
    let pixels = u32::from(columns) * u32::from(rows);
    let bytes = (0..pixels).flat_map(|at| u16::try_from(at % 4096).unwrap().to_le_bytes());
    let value = Value::Bytes(bytes.collect());
    set.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value });
    let transfer_syntax = "1.2.840.10008.1.2.1".to_owned();
    PixelSource { transfer_syntax, data_set: write(&set, true).into() }
}

fn spec(edge: usize, range: GreyRange) -> TensorSpec {
    TensorSpec {
        channels: 3,
        rows: edge,
        columns: edge,
        colour: false,
        ranges: vec![range],
        photometric: Vec::new(),
        keep_aspect: false,
        invert_monochrome1: true,
        scale: 1.0,
        mean: vec![0.485, 0.456, 0.406],
        deviation: vec![0.229, 0.224, 0.225],
    }
}

fn tensors(criterion: &mut Criterion) {
    let window = GreyRange::Window { center: 40.0, width: 400.0 };
    let percentiles = GreyRange::Percentiles { low: 1.0, high: 99.0 };
    let mut group = criterion.benchmark_group("tensor");
    group.sample_size(30);
    for (name, (columns, rows), edge) in
        [("CT 512x512 to 224", (512, 512), 224), ("DX 2500x2048 to 512", (2500, 2048), 512)]
    {
        let source = image(columns, rows);
        for (how, range) in
            [("window", window), ("stored", GreyRange::Stored), ("percentiles", percentiles)]
        {
            let spec = spec(edge, range);
            group.bench_function(format!("{name}, {how}"), |bencher| {
                bencher.iter(|| tensor(black_box(&source), 1, &spec).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, tensors);
criterion_main!(benches);
