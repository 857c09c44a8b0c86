//! Facts from headers.

use proptest::prelude::*;

use super::super::series_quality;
use super::*;
use crate::sharing::imaging::header::Header;

fn slice(number: i64, position: [f64; 3]) -> Header {
    let mut header = Header::default();
    header.instance.number = number.to_string();
    header.instance.frames = 1;
    header.instance.slice_thickness = "5.0".into();
    let [x, y, z] = position;
    header.instance.image_position = format!("{x}\\{y}\\{z}");
    header.instance.burned_in_annotation = "NO".into();
    header
}

fn axial(numbers: impl Iterator<Item = i64>) -> Vec<Header> {
    numbers
        .map(|n| slice(n, [-120.0, -118.5, f64::from(i32::try_from(n).unwrap()) * 5.0]))
        .collect()
}

#[test]
fn a_complete_stack_has_nothing_missing() {
    let facts = series_quality(&axial(1..=30));
    assert_eq!(
        (facts.images, facts.missing_numbers, facts.missing_slices),
        (Some(30), Some(0), Some(0))
    );
    assert!(facts.coverage_mm.is_some_and(|mm| (mm - 150.0).abs() < 1e-6));
    assert!(facts.slice_thickness_mm.is_some_and(|mm| (mm - 5.0).abs() < 1e-9));
    assert_eq!(facts.burned_in, Some(false));
    assert_eq!(facts.side_marked, None);
}

#[test]
fn missing_slices_are_counted_whatever_the_order_and_direction() {
    let mut headers = axial((1..=30).filter(|n| ![10, 11, 20].contains(n)));
    headers.reverse();
    let facts = series_quality(&headers);
    assert_eq!((facts.missing_numbers, facts.missing_slices), (Some(3), Some(3)));
    // Oblique: along (1, 1, 1).
    let oblique: Vec<Header> = (0..20)
        .filter(|n| *n != 7)
        .map(|n| {
            let at = f64::from(n) * 2.5;
            slice(n.into(), [at, at, at])
        })
        .collect();
    assert_eq!(series_quality(&oblique).missing_slices, Some(1));
}

#[test]
fn two_phases_of_the_same_slices_are_no_gap() {
    let mut headers = axial(1..=20);
    headers.extend(axial(1..=20).into_iter().enumerate().map(|(at, mut h)| {
        h.instance.number = (at + 21).to_string();
        h
    }));
    let facts = series_quality(&headers);
    assert_eq!(
        (facts.images, facts.missing_numbers, facts.missing_slices),
        (Some(40), Some(0), Some(0))
    );
}

#[test]
fn what_one_instance_does_not_say_is_unknown_for_the_series() {
    let mut headers = axial(1..=10);
    headers[3].instance.image_position.clear();
    headers[4].instance.slice_thickness = "thin".into();
    headers[5].instance.number = String::new();
    headers[6].instance.burned_in_annotation.clear();
    let facts = series_quality(&headers);
    assert_eq!(facts.images, Some(10));
    assert_eq!(facts.missing_numbers, None);
    assert_eq!(facts.missing_slices, None);
    assert_eq!(facts.slice_thickness_mm, None);
    assert_eq!(facts.coverage_mm, None);
    assert_eq!(facts.burned_in, None);
    headers[7].instance.burned_in_annotation = "YES".into();
    assert_eq!(series_quality(&headers).burned_in, Some(true));
    assert_eq!(series_quality(&[]), SeriesFacts::default());
}

#[test]
fn slices_that_are_no_stack_and_frames_of_one_instance_have_no_known_gaps() {
    let fan: Vec<Header> = (0..12)
        .map(|n| {
            let angle = f64::from(n) * 0.26;
            slice(n.into(), [50.0 * angle.cos(), 50.0 * angle.sin(), 0.0])
        })
        .collect();
    assert_eq!(series_quality(&fan).missing_slices, None);
    let mut multi = axial(1..=3);
    multi[0].instance.frames = 100;
    let facts = series_quality(&multi);
    assert_eq!((facts.images, facts.missing_slices), (Some(102), None));
    let one_place: Vec<Header> = (0..5).map(|n| slice(n, [1.0, 2.0, 3.0])).collect();
    assert_eq!(series_quality(&one_place).missing_slices, None);
}

#[test]
fn a_real_series_with_slices_left_out_is_seen_through() {
    use std::path::Path;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/dicom/pydicom-bundled/test_files/dicomdirtests/77654033/CT2");
    let mut paths: Vec<_> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let headers: Vec<Header> = paths
        .iter()
        .map(|path| crate::sharing::imaging::examination::read_for_tests(path))
        .collect();
    let facts = series_quality(&headers);
    // Four slices of a series of 165 were published.
    assert_eq!((facts.images, facts.missing_numbers), (Some(4), Some(161)));
    assert_eq!(facts.missing_slices, Some(161));
    assert!(facts.slice_thickness_mm.is_some_and(|mm| (mm - 1.25).abs() < 1e-9));
    assert_eq!(facts.burned_in, None);
}

proptest! {
    #[test]
    fn hostile_headers_do_not_panic(
        parts in prop::collection::vec(("[-0-9.eE\\\\ NaInf]{0,24}", "[-0-9]{0,20}", any::<u32>()), 0..20)
    ) {
        let headers: Vec<Header> = parts
            .into_iter()
            .map(|(position, number, frames)| {
                let mut header = Header::default();
                header.instance.image_position = position.clone();
                header.instance.slice_thickness = position;
                header.instance.number = number;
                header.instance.frames = frames;
                header
            })
            .collect();
        series_quality(&headers);
    }

    #[test]
    fn every_slice_taken_out_of_the_middle_is_missed(n in 5_i64..200, out in 2_i64..5) {
        prop_assume!(out < n);
        let facts = series_quality(&axial((1..=n).filter(|i| *i != out)));
        prop_assert_eq!(facts.missing_slices, Some(1));
        prop_assert_eq!(facts.missing_numbers, Some(1));
    }
}
