//! The scan of JPEG-LS (ISO 14495-1, annex A): contexts, prediction, Golomb codes and runs.

use super::bits::Bits;
use super::jpegls::damaged;
use crate::render::error::Result;
use crate::render::num::size;

/// Bits of run lengths (A.7.1.2, code segment A.15).
const RUN_BITS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];
/// Contexts of regular mode (A.3.4).
const CONTEXTS: usize = 365;

/// What a scan is decoded with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    near: i32,
    /// Width of a quantisation step.
    step: i32,
    max: i32,
    range: i32,
    /// Bits of a mapped error.
    error_bits: u32,
    limit: u32,
    thresholds: [i32; 3],
    reset: i32,
}

impl Parameters {
    /// Zeros stand for the defaults of C.2.4.1.1.
    pub(super) fn new(
        precision: u32,
        near: u8,
        max: i32,
        [t1, t2, t3]: [i32; 3],
        reset: i32,
    ) -> Result<Self> {
        let most = (1 << precision) - 1;
        let max = if max == 0 { most } else { max };
        let near = i32::from(near);
        if max > most || near > max / 2 {
            return Err(damaged("has parameters outside their range"));
        }
        let step = 2 * near + 1;
        let range = (max + 2 * near) / step + 1;
        let value_bits = bits_for(max + 1).max(2);
        let [d1, d2, d3] = defaults(max, near);
        let or = |given: i32, default: i32| if given == 0 { default } else { given };
        let thresholds = [or(t1, d1), or(t2, d2), or(t3, d3)];
        let reset = or(reset, 64);
        let [t1, t2, t3] = thresholds;
        if t1 <= near || t2 < t1 || t3 < t2 || t3 > max || reset < 3 {
            return Err(damaged("has parameters outside their range"));
        }
        let limit = 2 * (value_bits + value_bits.max(8));
        Ok(Self { near, step, max, range, error_bits: bits_for(range), limit, thresholds, reset })
    }

    /// A.3.3.
    fn quantised(&self, difference: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let size = difference.abs();
        let level = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        level * difference.signum()
    }

    /// A.4.5: adds the error, wraps and clamps.
    fn rebuilt(&self, predicted: i32, error: i32) -> i32 {
        // Only damage makes an error so large that this saturates.
        let mut value = predicted.saturating_add(error.saturating_mul(self.step));
        if value < -self.near {
            value = value.saturating_add(self.range * self.step);
        } else if value > self.max + self.near {
            value = value.saturating_sub(self.range * self.step);
        }
        value.clamp(0, self.max)
    }
}

/// Smallest number of bits that `count` values can be told apart by.
fn bits_for(count: i32) -> u32 {
    i32::BITS - (count - 1).leading_zeros()
}

/// C.2.4.1.1.1.
fn defaults(max: i32, near: i32) -> [i32; 3] {
    let clamp = |value: i32, low: i32| if value > max || value < low { low } else { value };
    if max >= 128 {
        let factor = (max.min(4095) + 128) / 256;
        let t1 = clamp(factor + 2 + 3 * near, near + 1);
        let t2 = clamp(factor * 4 + 3 + 5 * near, t1);
        return [t1, t2, clamp(factor * 17 + 4 + 7 * near, t2)];
    }
    let factor = 256 / (max + 1);
    let t1 = clamp((3 / factor + 3 * near).max(2), near + 1);
    let t2 = clamp((7 / factor + 5 * near).max(3), t1);
    [t1, t2, clamp((21 / factor + 7 * near).max(4), t2)]
}

#[derive(Debug, Clone, Copy)]
struct Context {
    /// Sum of error sizes.
    a: i32,
    /// Sum of errors, for the bias.
    b: i32,
    /// Correction of the prediction.
    c: i32,
    /// Errors seen.
    n: i32,
}

#[derive(Debug, Clone, Copy)]
struct RunContext {
    a: i32,
    n: i32,
    negative: i32,
}

/// The samples around the one that is decoded: left, above, above left, above right.
#[derive(Debug, Clone, Copy)]
struct Around {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

/// One component: the line above and the one that is decoded, with an edge on each side.
#[derive(Debug)]
struct Line {
    above: Vec<i32>,
    here: Vec<i32>,
    run: usize,
}

impl Line {
    fn begin(&mut self) {
        std::mem::swap(&mut self.above, &mut self.here);
        let first = self.above.get(1).copied().unwrap_or(0);
        if let Some(edge) = self.here.first_mut() {
            *edge = first;
        }
        let width = self.above.len() - 2;
        let last = self.above.get(width).copied().unwrap_or(0);
        if let Some(edge) = self.above.last_mut() {
            *edge = last;
        }
    }

    /// Around column `x`, counted from 1.
    fn around(&self, x: usize) -> Around {
        let above = self.above.get(x - 1..x + 2).and_then(|three| three.first_chunk::<3>());
        let [c, b, d] = above.copied().unwrap_or_default();
        Around { a: self.here.get(x - 1).copied().unwrap_or(0), b, c, d }
    }

    fn set(&mut self, x: usize, value: i32) {
        if let Some(to) = self.here.get_mut(x) {
            *to = value;
        }
    }
}

/// The state of a scan.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    parameters: Parameters,
    bits: Bits<'a>,
    contexts: Vec<Context>,
    runs: [RunContext; 2],
    lines: Vec<Line>,
    width: usize,
    /// Run state of pixels whose samples lie together.
    run: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(parameters: Parameters, bits: Bits<'a>, width: usize, count: usize) -> Self {
        let a = ((parameters.range + 32) / 64).max(2);
        let line = || Line { above: vec![0; width + 2], here: vec![0; width + 2], run: 0 };
        Self {
            parameters,
            bits,
            contexts: vec![Context { a, b: 0, c: 0, n: 1 }; CONTEXTS],
            runs: [RunContext { a, n: 1, negative: 0 }; 2],
            lines: (0..count).map(|_| line()).collect(),
            width,
            run: 0,
        }
    }

    /// Decodes the next line of each component, one after the other.
    pub(super) fn lines(&mut self) -> Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        for line in &mut lines {
            line.begin();
            self.line(line)?;
        }
        self.lines = lines;
        self.checked()
    }

    /// Decodes the next line of all components, sample by sample.
    pub(super) fn pixels(&mut self) -> Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.iter_mut().for_each(Line::begin);
        let mut x = 1;
        while x <= self.width {
            let flat = lines.iter().all(|line| self.context(line.around(x)) == 0);
            if !flat {
                for line in &mut lines {
                    let value = self.regular(line.around(x))?;
                    line.set(x, value);
                }
                x += 1;
                continue;
            }
            let (length, broken) = self.run_length(self.width + 1 - x, self.run);
            for line in &mut lines {
                let value = line.around(x).a;
                line.here.iter_mut().skip(x).take(length).for_each(|to| *to = value);
            }
            x += length;
            self.run = broken.1;
            if broken.0 {
                for line in &mut lines {
                    let value = self.interruption(line.around(x), false, self.run)?;
                    line.set(x, value);
                }
                self.run = self.run.saturating_sub(1);
                x += 1;
            }
        }
        self.lines = lines;
        self.checked()
    }

    /// The line just decoded, of each component.
    pub(super) fn current(&self) -> impl Iterator<Item = &[i32]> {
        self.lines.iter().map(|line| line.here.get(1..=self.width).unwrap_or_default())
    }

    /// Bytes of the scan.
    pub(super) fn used(&self) -> usize {
        self.bits.scan_end()
    }

    fn checked(&self) -> Result<()> {
        if self.bits.exhausted() { Err(damaged("scan ends early")) } else { Ok(()) }
    }

    fn line(&mut self, line: &mut Line) -> Result<()> {
        let mut x = 1;
        while x <= self.width {
            let around = line.around(x);
            if self.context(around) != 0 {
                let value = self.regular(around)?;
                line.set(x, value);
                x += 1;
                continue;
            }
            let (length, (broken, run)) = self.run_length(self.width + 1 - x, line.run);
            line.run = run;
            line.here.iter_mut().skip(x).take(length).for_each(|to| *to = around.a);
            x += length;
            if broken {
                let around = line.around(x);
                let same = (around.a - around.b).abs() <= self.parameters.near;
                let value = self.interruption(around, same, run)?;
                line.set(x, value);
                line.run = run.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// The context with its sign; 0 where all is flat.
    fn context(&self, around: Around) -> i32 {
        let q1 = self.parameters.quantised(around.d - around.b);
        let q2 = self.parameters.quantised(around.b - around.c);
        let q3 = self.parameters.quantised(around.c - around.a);
        (q1 * 9 + q2) * 9 + q3
    }

    /// A.4 to A.6.
    fn regular(&mut self, around: Around) -> Result<i32> {
        let signed = self.context(around);
        let sign = if signed < 0 { -1 } else { 1 };
        let index = size(signed.unsigned_abs());
        let p = self.parameters;
        let context = *self.contexts.get(index).ok_or(damaged("context out of range"))?;
        let Around { a, b, c, .. } = around;
        let predicted = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let predicted = (predicted + sign * context.c).clamp(0, p.max);
        let k = golomb(context.n, context.a);
        let mapped = self.golomb_code(k, p.limit)?;
        let turned = p.near == 0 && k == 0 && 2 * context.b <= -context.n;
        let half = mapped >> 1;
        let error = match (mapped & 1 == 1, turned) {
            (true, true) | (false, false) => half,
            (false, true) | (true, false) => -half - 1,
        };
        if let Some(to) = self.contexts.get_mut(index) {
            *to = updated(context, error, p);
        }
        Ok(p.rebuilt(predicted, sign * error))
    }

    /// The length of a run of at most `left`, whether another value ends it, and the run state
    /// (A.7.1).
    fn run_length(&mut self, left: usize, mut run: usize) -> (usize, (bool, usize)) {
        let mut length = 0;
        while length < left {
            let bits = RUN_BITS.get(run).copied().unwrap_or(15);
            if self.bits.exhausted() {
                return (left, (false, run));
            }
            if !self.bits.bit() {
                length += size(self.bits.take(bits));
                // A run that claims to pass the end of the line is damage; it is cut.
                return (length.min(left - 1), (true, run));
            }
            let block = 1 << bits;
            if length + block <= left {
                run = (run + 1).min(RUN_BITS.len() - 1);
            }
            length = (length + block).min(left);
        }
        (length, (false, run))
    }

    /// The sample that ends a run (A.7.2).
    fn interruption(&mut self, around: Around, same: bool, run: usize) -> Result<i32> {
        let p = self.parameters;
        let kind = i32::from(same);
        let [different, alike] = self.runs;
        let mut context = if same { alike } else { different };
        let size_sum = if same { context.a + (context.n >> 1) } else { context.a };
        let k = golomb(context.n, size_sum);
        let bits = RUN_BITS.get(run).copied().unwrap_or(15);
        let mapped = self.golomb_code(k, p.limit - bits - 1)?;
        let shifted = mapped + kind;
        let odd = shifted & 1;
        let size = i32::midpoint(shifted, odd);
        let negative = (k != 0 || 2 * context.negative >= context.n) == (odd == 1);
        let error = if negative { -size } else { size };
        if error < 0 {
            context.negative += 1;
        }
        context.a = context.a.saturating_add((mapped + 1 - kind) >> 1);
        if context.n == p.reset {
            context.a >>= 1;
            context.n >>= 1;
            context.negative >>= 1;
        }
        context.n += 1;
        self.runs = if same { [different, context] } else { [context, alike] };
        let sign = if !same && around.a > around.b { -1 } else { 1 };
        Ok(p.rebuilt(if same { around.a } else { around.b }, sign * error))
    }

    /// A.5.3: zeros and a one, then `k` bits; or, after the most zeros, the value itself.
    fn golomb_code(&mut self, k: u32, limit: u32) -> Result<i32> {
        let escape = limit.saturating_sub(self.parameters.error_bits + 1);
        let zeros = self.bits.zeros(escape).ok_or(damaged("code is too long"))?;
        let value = if zeros < escape {
            (zeros << k) | self.bits.take(k)
        } else {
            self.bits.take(self.parameters.error_bits) + 1
        };
        i32::try_from(value).map_err(|_| damaged("code is too long"))
    }
}

/// A.5.1.
fn golomb(n: i32, a: i32) -> u32 {
    let mut k = 0;
    while k < 16 && (i64::from(n) << k) < i64::from(a) {
        k += 1;
    }
    k
}

/// A.6.
fn updated(mut context: Context, error: i32, p: Parameters) -> Context {
    context.b = context.b.saturating_add(error.saturating_mul(p.step));
    context.a = context.a.saturating_add(error.abs());
    if context.n == p.reset {
        context.a >>= 1;
        context.b >>= 1;
        context.n >>= 1;
    }
    context.n += 1;
    if context.b <= -context.n {
        context.b = (context.b + context.n).max(1 - context.n);
        context.c = (context.c - 1).max(-128);
    } else if context.b > 0 {
        context.b = (context.b - context.n).min(0);
        context.c = (context.c + 1).min(127);
    }
    context
}
