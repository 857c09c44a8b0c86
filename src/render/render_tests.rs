//! Images made up here, value by value, for each kind of pixel and each step of drawing.

#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers made up here are small, and two's complement is meant"
)]

use super::error::RenderError;
use super::testing::{EXPLICIT, Object};
use super::{draw, frame_bytes};
use crate::app::imaging::render::{
    ImageFormat, PixelSource, Region, RenderRequest, Viewport, Window, WindowFunction,
};

fn grey(values: &[u16]) -> Object {
    Object::image("MONOCHROME2", values.len() as u16, 1, 16).pixels16(values)
}

fn explicit(center: f64, width: f64, function: WindowFunction) -> RenderRequest {
    let window = Window::Explicit { center, width, function };
    RenderRequest { window, ..RenderRequest::default() }
}

#[test]
fn a_linear_window_has_half_steps() {
    // PS3.3, C.11.2.1.2.1: centre 2048, width 4096 maps 0 to black and 4095 to white.
    let image = grey(&[0, 1, 2047, 2048, 4095, 65535]);
    let drawn = image.drawn(&explicit(2048.0, 4096.0, WindowFunction::Linear)).unwrap();
    assert_eq!(drawn, [0, 0, 127, 128, 255, 255]);
    // Width 1 is a threshold.
    let drawn = image.drawn(&explicit(2048.0, 1.0, WindowFunction::Linear)).unwrap();
    assert_eq!(drawn, [0, 0, 0, 255, 255, 255]);
}

#[test]
fn the_exact_window_and_the_sigmoid_follow_their_formulas() {
    let image = grey(&[0, 50, 100, 150, 200]);
    let exact = image.drawn(&explicit(100.0, 100.0, WindowFunction::LinearExact)).unwrap();
    assert_eq!(exact, [0, 0, 128, 255, 255]);
    let sigmoid = image.drawn(&explicit(100.0, 100.0, WindowFunction::Sigmoid)).unwrap();
    // 255 / (1 + e^(-4 (x - 100) / 100)), by hand.
    assert_eq!(sigmoid, [5, 30, 128, 225, 250]);
}

#[test]
fn windows_are_chosen_by_index_and_tables_follow_them() {
    let table =
        Object::default().shorts(0x0028_3002, &[3, 10, 8]).words(0x0028_3006, &[255, 0, 51]);
    let image = grey(&[10, 11, 12])
        .text(0x0028_1050, "11\\12")
        .text(0x0028_1051, "2\\1")
        .items(0x0028_3010, &[table]);
    let at = |index| {
        image.drawn(&RenderRequest { window: Window::Index(index), ..RenderRequest::default() })
    };
    assert_eq!(image.shown(), [0, 255, 255]);
    assert_eq!(at(0).unwrap(), image.shown());
    assert_eq!(at(1).unwrap(), [0, 0, 255]);
    assert_eq!(at(2).unwrap(), [255, 0, 51]);
    assert!(matches!(at(3), Err(RenderError::Request(_))));
}

#[test]
fn a_voi_table_alone_is_used_and_its_ends_go_on() {
    let table =
        Object::default().shorts(0x0028_3002, &[2, 100, 16]).words(0x0028_3006, &[0, 65535]);
    let image = grey(&[0, 100, 101, 500]).items(0x0028_3010, &[table]);
    assert_eq!(image.shown(), [0, 0, 255, 255]);
}

#[test]
fn a_table_in_a_sequence_of_unknown_representation_is_found() {
    let item = b"\xFE\xFF\x00\xE0\x1A\0\0\0\
        \x28\0\x02\x30\x06\0\0\0\x02\0\0\0\x10\0\
        \x28\0\x06\x30\x04\0\0\0\xFF\xFF\0\0";
    let image = grey(&[0, 1]).unknown(0x0028_3010, item);
    assert_eq!(image.shown(), [255, 0]);
}

#[test]
fn the_modality_table_comes_before_the_window() {
    let table =
        Object::default().shorts(0x0028_3002, &[3, 0, 16]).words(0x0028_3006, &[1000, 0, 500]);
    let image = grey(&[0, 1, 2]).items(0x0028_3000, &[table]);
    assert_eq!(image.shown(), [255, 0, 128]);
    let window = explicit(500.0, 1000.0, WindowFunction::LinearExact);
    assert_eq!(image.drawn(&window).unwrap(), [255, 0, 128]);
}

#[test]
fn rescale_signed_values_and_padding_are_respected() {
    let image = grey(&[(-2000_i16) as u16, (-1000_i16) as u16, 0, 1000])
        .shorts(0x0028_0103, &[1])
        .shorts(0x0028_0120, &[(-2000_i16) as u16])
        .text(0x0028_1052, "-24")
        .text(0x0028_1053, "2");
    // Without the padding the range is -1000 to 1000.
    assert_eq!(image.shown(), [0, 0, 128, 255]);
    let window = explicit(-24.0, 4000.0, WindowFunction::LinearExact);
    assert_eq!(image.drawn(&window).unwrap(), [0, 0, 128, 255]);
}

#[test]
fn only_stored_bits_count_wherever_they_lie() {
    // 10 bits in bits 4 to 13; what lies outside is noise.
    let image =
        grey(&[0xC00F, 0xFFFF, 0x2008]).shorts(0x0028_0101, &[10]).shorts(0x0028_0102, &[13]);
    assert_eq!(image.shown(), [0, 255, 128]);
}

#[test]
fn monochrome_one_and_an_inverse_shape_turn_grey_once() {
    let values = [0_u8, 51, 255];
    let one = Object::image("MONOCHROME1", 3, 1, 8).pixels8(&values);
    assert_eq!(one.shown(), [255, 204, 0]);
    assert_eq!(one.text(0x2050_0020, "INVERSE").shown(), [255, 204, 0]);
    let two = Object::image("MONOCHROME2", 3, 1, 8).pixels8(&values);
    assert_eq!(two.clone().text(0x2050_0020, "IDENTITY").shown(), values);
    assert_eq!(two.text(0x2050_0020, "INVERSE").shown(), [255, 204, 0]);
}

#[test]
fn bitmaps_are_black_and_white_even_when_all_one() {
    let image = Object::image("MONOCHROME2", 3, 3, 1).pixels8(&[0b0101_0101, 1]);
    assert_eq!(image.shown(), [255, 0, 255, 0, 255, 0, 255, 0, 255]);
    let all = Object::image("MONOCHROME2", 4, 1, 1).pixels8(&[0x0F]);
    let full = RenderRequest { window: Window::Full, ..RenderRequest::default() };
    assert_eq!(all.drawn(&full).unwrap(), [255; 4]);
}

#[test]
fn the_second_frame_of_a_bitmap_begins_inside_a_byte() {
    let image =
        Object::image("MONOCHROME2", 3, 1, 1).text(0x0028_0008, "2").pixels8(&[0b0010_1001]);
    let second = RenderRequest { frame: 2, ..RenderRequest::default() };
    assert_eq!(image.drawn(&second).unwrap(), [255, 0, 255]);
}

#[test]
fn wide_and_floating_pixels_are_spread_over_all_greys() {
    let cells: Vec<u8> = [0_u32, 1 << 31, u32::MAX].iter().flat_map(|v| v.to_le_bytes()).collect();
    let wide = Object::image("MONOCHROME2", 3, 1, 32).pixels8(&cells);
    assert_eq!(wide.shown(), [0, 128, 255]);
    let cells: Vec<u8> =
        [-1.5_f32, 0.0, 1.5, f32::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
    let single = Object::image("MONOCHROME2", 4, 1, 32).bytes(0x7FE0_0008, &cells);
    assert_eq!(single.shown(), [0, 128, 255, 0]);
    let cells: Vec<u8> = [-1e300_f64, 1e300].iter().flat_map(|v| v.to_le_bytes()).collect();
    let double = Object::image("MONOCHROME2", 2, 1, 64).bytes(0x7FE0_0009, &cells);
    assert_eq!(double.shown(), [0, 255]);
}

#[test]
fn rgb_is_shown_as_it_is_in_either_configuration() {
    let pixels = Object::image("RGB", 2, 1, 8).pixels8(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(pixels.shown(), [1, 2, 3, 4, 5, 6]);
    let planes =
        Object::image("RGB", 2, 1, 8).shorts(0x0028_0006, &[1]).pixels8(&[1, 4, 2, 5, 3, 6]);
    assert_eq!(planes.shown(), [1, 2, 3, 4, 5, 6]);
    let wide = Object::image("RGB", 1, 1, 16).pixels16(&[0x1234, 0xFFFF, 0x00FF]);
    assert_eq!(wide.shown(), [0x12, 0xFF, 0]);
}

#[test]
fn every_kind_of_ybr_becomes_rgb() {
    let red = [76, 85, 255];
    let full = Object::image("YBR_FULL", 1, 1, 8).pixels8(&red);
    assert_eq!(full.shown(), [254, 0, 0]);
    let halved = Object::image("YBR_FULL_422", 2, 1, 8).pixels8(&[76, 76, 85, 255]);
    assert_eq!(halved.shown(), [254, 0, 0, 254, 0, 0]);
    // Declared as halved, sent whole.
    let whole = Object::image("YBR_FULL_422", 2, 1, 8).pixels8(&[76, 85, 255, 76, 85, 255]);
    assert_eq!(whole.shown(), [254, 0, 0, 254, 0, 0]);
    let partial = Object::image("YBR_PARTIAL_422", 2, 1, 8).pixels8(&[235, 16, 128, 128]);
    assert_eq!(partial.shown(), [255, 255, 255, 0, 0, 0]);
    let ict = Object::image("YBR_ICT", 1, 1, 8).pixels8(&red);
    assert_eq!(ict.shown(), [254, 0, 0]);
    let rct = Object::image("YBR_RCT", 1, 1, 8).pixels8(&red);
    let refused = rct.drawn(&RenderRequest::default());
    assert!(matches!(refused, Err(RenderError::Unsupported(_))));
}

fn palette(bits: u16, first: u16, tables: [&[u16]; 3]) -> Object {
    let mut object = Object::image("PALETTE COLOR", 3, 1, 8).pixels8(&[4, 5, 6]);
    for (number, table) in (0..).zip(tables) {
        object = object
            .shorts(0x0028_1101 + number, &[table.len() as u16, first, bits])
            .words(0x0028_1201 + number, table);
    }
    object
}

#[test]
fn palettes_of_16_bits_give_their_high_byte_and_begin_where_they_say() {
    let image = palette(16, 5, [&[0x0100, 0xFF00], &[0x0200, 0xFE00], &[0x0300, 0xFD00]]);
    // 4 lies before the first entry.
    assert_eq!(image.shown(), [1, 2, 3, 1, 2, 3, 0xFF, 0xFE, 0xFD]);
}

#[test]
fn palettes_of_8_bits_in_words_keep_their_bytes() {
    let image = palette(16, 4, [&[1, 4, 7], &[2, 5, 8], &[3, 6, 255]]);
    assert_eq!(image.shown(), [1, 2, 3, 4, 5, 6, 7, 8, 255]);
    // Two entries to a word.
    let mut packed = palette(8, 4, [&[1, 4, 7], &[2, 5, 8], &[3, 6, 9]]);
    for (number, table) in (0..).zip([[0x0401, 7], [0x0502, 8], [0x0603, 9]]) {
        packed = packed.words(0x0028_1201 + number, &table);
    }
    assert_eq!(packed.shown(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn segmented_palettes_are_written_out() {
    let mut image = Object::image("PALETTE COLOR", 7, 1, 8).pixels8(&[0, 1, 2, 3, 4, 5, 6]);
    // Two values, a ramp of four to 0x0A00, then the first segment again.
    let table = [0, 2, 0x0100, 0x0200, 1, 4, 0x0A00, 2, 1, 0, 0];
    for number in 0..3 {
        image = image.shorts(0x0028_1101 + number, &[7, 0, 16]).words(0x0028_1221 + number, &table);
    }
    let reds: Vec<u8> = image.shown().iter().step_by(3).copied().collect();
    assert_eq!(reds, [1, 2, 4, 6, 8, 10, 1]);
}

#[test]
fn overlays_are_drawn_when_asked_for() {
    let overlay = |object: Object, group: u32| {
        object
            .shorts(group + 0x10, &[2])
            .shorts(group + 0x11, &[2])
            .shorts(group + 0x50, &[2, 0])
            .shorts(group + 0x100, &[1])
            .shorts(group + 0x102, &[0])
            .bytes(group + 0x3000, &[0b1110, 0])
    };
    let image = overlay(Object::image("MONOCHROME2", 2, 2, 8).pixels8(&[1; 4]), 0x6002_0000);
    assert_eq!(image.shown(), [1; 4]);
    let asked = RenderRequest { overlays: true, ..RenderRequest::default() };
    // Its first row is the image's second, its first column lies outside.
    assert_eq!(image.drawn(&asked).unwrap(), [1, 1, 255, 1]);
    let colour = overlay(Object::image("RGB", 2, 2, 8).pixels8(&[1; 12]), 0x6000_0000);
    let drawn = colour.drawn(&asked).unwrap();
    assert_eq!(drawn, [1, 1, 1, 1, 1, 1, 255, 255, 255, 1, 1, 1]);
}

#[test]
fn overlays_in_unused_bits_are_drawn() {
    let image = Object::image("MONOCHROME2", 2, 1, 16)
        .shorts(0x0028_0101, &[12])
        .shorts(0x0028_0102, &[11])
        .pixels16(&[0x8000, 0x0FFF - 1])
        .shorts(0x6000_0010, &[1])
        .shorts(0x6000_0011, &[2])
        .shorts(0x6000_0100, &[16])
        .shorts(0x6000_0102, &[15]);
    let asked = RenderRequest { overlays: true, ..RenderRequest::default() };
    assert_eq!(image.shown(), [0, 255]);
    assert_eq!(image.drawn(&asked).unwrap(), [255, 255]);
    let stored = image.shorts(0x6000_0102, &[3]);
    assert_eq!(stored.drawn(&asked).unwrap(), [0, 255]);
}

#[test]
fn each_frame_has_its_own_rescale_and_window() {
    let group = |slope: &str, center: &str| {
        let rescale = Object::default().text(0x0028_1052, "0").text(0x0028_1053, slope);
        let window = Object::default()
            .text(0x0028_1050, center)
            .text(0x0028_1051, "10")
            .text(0x0028_1056, "LINEAR_EXACT");
        Object::default().items(0x0028_9145, &[rescale]).items(0x0028_9132, &[window])
    };
    let image = Object::image("MONOCHROME2", 1, 1, 16)
        .text(0x0028_0008, "2")
        .items(0x5200_9229, &[group("9", "9")])
        .items(0x5200_9230, &[group("1", "5"), group("2", "7")])
        .pixels16(&[5, 5]);
    let frame = |frame| image.drawn(&RenderRequest { frame, ..RenderRequest::default() });
    // 5 at centre 5; 10 at centre 7 of width 10 is 0.8.
    assert_eq!(frame(1).unwrap(), [128]);
    assert_eq!(frame(2).unwrap(), [204]);
    assert_eq!(frame(3), Err(RenderError::NoSuchFrame { frames: 2 }));
    assert_eq!(frame(0), Err(RenderError::NoSuchFrame { frames: 2 }));
}

#[test]
fn images_fit_the_viewport_by_averaging_and_keep_their_shape() {
    let image = Object::image("MONOCHROME2", 4, 2, 8).pixels8(&[0, 100, 200, 200, 100, 200, 0, 0]);
    let request = RenderRequest {
        viewport: Some(Viewport { width: 2, height: 9 }),
        format: ImageFormat::Png,
        ..RenderRequest::default()
    };
    let drawn = draw::render(&image.source(EXPLICIT), &request).unwrap();
    assert_eq!((drawn.width, drawn.height, drawn.media_type), (2, 1, "image/png"));
    let back = image::load_from_memory(&drawn.bytes).unwrap().to_luma8();
    assert_eq!(back.as_raw(), &[100, 100]);
    // Never enlarged.
    let large = Viewport { width: 900, height: 900 };
    let request = RenderRequest { viewport: Some(large), ..request };
    let drawn = draw::render(&image.source(EXPLICIT), &request).unwrap();
    assert_eq!((drawn.width, drawn.height), (4, 2));
    // Pixels twice as high as wide.
    let tall = image.text(0x0028_0034, "2\\1");
    let drawn = draw::render(&tall.source(EXPLICIT), &request).unwrap();
    assert_eq!((drawn.width, drawn.height), (4, 4));
}

#[test]
fn a_frame_s_own_spacing_gives_its_shape() {
    let measures = Object::default().text(0x0028_0030, "1\\2");
    let group = Object::default().items(0x0028_9110, &[measures]);
    let image = Object::image("MONOCHROME2", 2, 4, 8).pixels8(&[0; 8]).items(0x5200_9230, &[group]);
    let drawn = draw::render(&image.source(EXPLICIT), &RenderRequest::default()).unwrap();
    assert_eq!((drawn.width, drawn.height), (4, 4));
}

#[test]
fn pixels_of_the_old_ge_syntax_are_big_endian_in_little_endian_headers() {
    // Implicit: tag, length of 32 bits, value.
    let mut data = Vec::new();
    let elements: [(u16, &[u8]); 6] = [
        (0x0010, &[1, 0]),
        (0x0011, &[2, 0]),
        (0x0100, &[16, 0]),
        (0x0101, &[16, 0]),
        (0x0102, &[15, 0]),
        (0x0103, &[0, 0]),
    ];
    for (element, value) in elements {
        data.extend([0x28, 0]);
        data.extend(element.to_le_bytes());
        data.extend([2, 0, 0, 0]);
        data.extend(value);
    }
    data.extend(b"\xE0\x7F\x10\x00\x04\x00\x00\x00\x01\x00\x01\x01");
    let source =
        PixelSource { transfer_syntax: "1.2.840.113619.5.2".to_owned(), data_set: data.into() };
    let frame = frame_bytes(&source, 1).unwrap();
    assert_eq!(frame.bytes, [0, 1, 1, 1].as_slice());
    let full = RenderRequest { window: Window::Full, ..RenderRequest::default() };
    assert_eq!(draw::drawn(&source, &full).unwrap().0.data, [0, 255]);
}

#[test]
fn a_region_is_cut_out() {
    let image = Object::image("MONOCHROME2", 4, 2, 8).pixels8(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let region = Region { left: 0.5, top: 0.5, width: 0.5, height: 0.5 };
    let request = RenderRequest {
        region: Some(region),
        format: ImageFormat::Png,
        ..RenderRequest::default()
    };
    let drawn = draw::render(&image.source(EXPLICIT), &request).unwrap();
    let back = image::load_from_memory(&drawn.bytes).unwrap().to_luma8();
    assert_eq!((back.width(), back.as_raw().as_slice()), (2, [6, 7].as_slice()));
    for wrong in [1.0, -0.1, f64::NAN] {
        let region = Some(Region { left: wrong, ..region });
        let refused =
            draw::render(&image.source(EXPLICIT), &RenderRequest { region, ..request.clone() });
        assert!(matches!(refused, Err(RenderError::Request(_))));
    }
}
