//! Tensors against arithmetic by hand.

use super::{RenderError, tensor};
use crate::app::imaging::models::{GreyRange, TensorSpec};
use crate::render::testing::{EXPLICIT, Object};

/// One channel of `columns` by `rows`, all numbers from 0 to 1.
fn spec(columns: usize, rows: usize, range: GreyRange) -> TensorSpec {
    TensorSpec {
        channels: 1,
        rows,
        columns,
        colour: false,
        ranges: vec![range],
        photometric: Vec::new(),
        keep_aspect: false,
        invert_monochrome1: true,
        scale: 1.0,
        mean: vec![0.0],
        deviation: vec![1.0],
    }
}

fn window(center: f64, width: f64) -> GreyRange {
    GreyRange::Window { center, width }
}

/// In hundredths.
fn rounded(values: &[f32]) -> Vec<i32> {
    values.iter().map(|v| format!("{:.0}", v * 100.0).parse().unwrap()).collect()
}

#[test]
fn each_channel_has_its_window_mean_and_deviation() {
    let image = Object::image("MONOCHROME2", 2, 2, 16).pixels16(&[0, 100, 100, 200]);
    let spec = TensorSpec {
        channels: 2,
        ranges: vec![window(100.0, 200.0), window(50.0, 100.0)],
        mean: vec![0.5, 0.0],
        deviation: vec![0.5, 1.0],
        ..spec(1, 2, GreyRange::Stored)
    };
    let values = tensor(&image.source(EXPLICIT), 1, &spec).unwrap();
    assert_eq!(rounded(&values), [-50, 50, 50, 100]);
    let wrong = TensorSpec { deviation: vec![0.0, 1.0], ..spec };
    let refused = tensor(&image.source(EXPLICIT), 1, &wrong);
    assert!(matches!(refused, Err(RenderError::Request(_))));
}

#[test]
fn one_window_fills_every_channel_and_the_scale_comes_before_the_mean() {
    let image = Object::image("MONOCHROME2", 1, 1, 16).pixels16(&[50]);
    let spec = TensorSpec {
        channels: 3,
        scale: 255.0,
        mean: vec![127.5, 27.5, 0.0],
        deviation: vec![1.0, 100.0, 255.0],
        ..spec(1, 1, window(50.0, 100.0))
    };
    let values = tensor(&image.source(EXPLICIT), 1, &spec).unwrap();
    assert_eq!(rounded(&values), [0, 100, 50]);
}

#[test]
fn rescale_comes_before_the_window_and_monochrome1_is_turned_only_where_it_is_asked_for() {
    let image = Object::image("MONOCHROME1", 2, 1, 16)
        .text(0x0028_1053, "2")
        .text(0x0028_1052, "-100")
        .pixels16(&[50, 100]);
    // 0 and 100 in units of the modality.
    let turned = spec(2, 1, window(50.0, 200.0));
    assert_eq!(rounded(&tensor(&image.source(EXPLICIT), 1, &turned).unwrap()), [75, 25]);
    let left = TensorSpec { invert_monochrome1: false, ..turned };
    assert_eq!(rounded(&tensor(&image.source(EXPLICIT), 1, &left).unwrap()), [25, 75]);
}

#[test]
fn the_windows_of_the_image_are_taken_with_their_shape() {
    let image = Object::image("MONOCHROME2", 3, 1, 16).pixels16(&[0, 50, 1000]);
    let stored = spec(3, 1, GreyRange::Stored);
    let with = image.clone().text(0x0028_1050, "50").text(0x0028_1051, "101");
    // LINEAR: (50 - 49.5) / 100 + 0.5.
    assert_eq!(
        tensor(&with.source(EXPLICIT), 1, &stored).unwrap().get(1).map(|v| format!("{v:.3}")),
        Some("0.505".to_owned())
    );
    let sigmoid = with.text(0x0028_1056, "SIGMOID");
    assert_eq!(rounded(&tensor(&sigmoid.source(EXPLICIT), 1, &stored).unwrap()), [12, 50, 100]);
    // Without a window: all there is.
    assert_eq!(rounded(&tensor(&image.source(EXPLICIT), 1, &stored).unwrap()), [0, 5, 100]);
}

#[test]
fn percentiles_leave_out_what_stands_for_no_pixel() {
    let values: Vec<u16> = (0..100).collect();
    let image = Object::image("MONOCHROME2", 10, 10, 16).pixels16(&values);
    let all = spec(10, 10, GreyRange::Percentiles { low: 10.0, high: 90.0 });
    // The tenth and the ninetieth value: 9 and 89.
    let got = tensor(&image.source(EXPLICIT), 1, &all).unwrap();
    let at = |i: usize| rounded(&got)[i];
    assert_eq!((at(9), at(49), at(89), at(0), at(99)), (0, 50, 100, 0, 100));
    let padded = image.shorts(0x0028_0120, &[50]).shorts(0x0028_0121, &[99]);
    let got = tensor(&padded.source(EXPLICIT), 1, &all).unwrap();
    // Of 0 to 49: the fifth and the forty-fifth, 4 and 44.
    assert_eq!((rounded(&got)[4], rounded(&got)[24], rounded(&got)[44]), (0, 50, 100));
}

#[test]
fn a_falling_slope_turns_the_percentiles() {
    let values: Vec<u16> = (0..10).collect();
    let image = Object::image("MONOCHROME2", 10, 1, 16).text(0x0028_1053, "-1").pixels16(&values);
    let spec = spec(10, 1, GreyRange::Percentiles { low: 0.0, high: 100.0 });
    let got = rounded(&tensor(&image.source(EXPLICIT), 1, &spec).unwrap());
    assert_eq!((got[0], got[9]), (100, 0));
}

#[test]
fn a_kept_shape_stands_in_the_middle_of_black() {
    let image = Object::image("MONOCHROME2", 4, 2, 16).pixels16(&[100; 8]);
    let spec = TensorSpec { keep_aspect: true, mean: vec![0.5], ..spec(4, 4, window(50.0, 100.0)) };
    let got = rounded(&tensor(&image.source(EXPLICIT), 1, &spec).unwrap());
    assert_eq!(got[..4], [-50; 4]);
    assert_eq!(got[4..12], [50; 8]);
    assert_eq!(got[12..], [-50; 4]);
}

#[test]
fn pixels_are_averaged_downwards_and_drawn_out_upwards() {
    let image = Object::image("MONOCHROME2", 4, 4, 16)
        .pixels16(&[0, 100, 0, 0, 100, 200, 0, 0, 10, 20, 30, 40, 50, 64, 70, 84]);
    let half = spec(2, 2, window(100.0, 200.0));
    assert_eq!(rounded(&tensor(&image.source(EXPLICIT), 1, &half).unwrap()), [50, 0, 18, 28]);
    let two = Object::image("MONOCHROME2", 2, 1, 16).pixels16(&[0, 100]);
    let four = spec(4, 1, window(50.0, 100.0));
    assert_eq!(rounded(&tensor(&two.source(EXPLICIT), 1, &four).unwrap()), [0, 25, 75, 100]);
}

#[test]
fn colour_goes_into_three_channels() {
    let image = Object::image("RGB", 2, 1, 8).pixels8(&[255, 0, 51, 255, 0, 51]);
    let spec = TensorSpec {
        channels: 3,
        colour: true,
        ranges: Vec::new(),
        mean: vec![0.0; 3],
        deviation: vec![1.0; 3],
        ..spec(2, 1, GreyRange::Stored)
    };
    let got = tensor(&image.source(EXPLICIT), 1, &spec).unwrap();
    assert_eq!(rounded(&got), [100, 100, 0, 0, 20, 20]);
}

#[test]
fn an_image_that_the_model_is_not_for_is_told_apart_from_a_broken_one() {
    let grey = Object::image("MONOCHROME2", 1, 1, 16).pixels16(&[0]);
    let mut spec = spec(1, 1, GreyRange::Stored);
    spec.photometric = vec!["MONOCHROME1".to_owned()];
    let other = tensor(&grey.source(EXPLICIT), 1, &spec);
    assert_eq!(other, Err(RenderError::Unfit("its photometric interpretation is another")));
    let colour = Object::image("RGB", 1, 1, 8).pixels8(&[0; 3]);
    assert_eq!(
        tensor(&colour.source(EXPLICIT), 1, &spec),
        Err(RenderError::Unfit("it takes grey"))
    );
}
