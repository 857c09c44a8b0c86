//! Bits of an entropy-coded segment, most significant first, for JPEG and JPEG-LS.

/// What follows a byte of ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuffing {
    /// A byte of zeros, which is dropped (ISO 10918-1, F.1.2.3).
    Byte,
    /// A byte whose first bit is a zero that is dropped (ISO 14495-1, 9.1).
    Bit,
}

/// Reads bits. Past the end come zeros, and [`Bits::exhausted`] says so.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    stuffing: Stuffing,
    /// Bits not yet taken, at the top.
    window: u64,
    ready: u32,
    after_ones: bool,
    /// Bits made up past the end.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], stuffing: Stuffing) -> Self {
        Self { data, at: 0, stuffing, window: 0, ready: 0, after_ones: false, made_up: 0 }
    }

    fn fill(&mut self) {
        while self.ready <= 48 {
            let Some(byte) = self.data.get(self.at).copied() else { return self.make_up() };
            let mut width = 8;
            if self.stuffing == Stuffing::Byte && byte == 0xFF {
                if self.data.get(self.at + 1) != Some(&0) {
                    return self.make_up();
                }
                self.at += 1;
            }
            if self.stuffing == Stuffing::Bit && self.after_ones {
                if byte >= 0x80 {
                    return self.make_up();
                }
                width = 7;
            }
            self.after_ones = byte == 0xFF;
            self.at += 1;
            self.window |= u64::from(byte) << (64 - width - self.ready);
            self.ready += width;
        }
    }

    fn make_up(&mut self) {
        self.made_up = self.made_up.saturating_add(64 - self.ready);
        self.ready = 64;
    }

    /// The next `count` bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        if self.ready < count {
            self.fill();
        }
        let bits = self.window >> (64 - count);
        self.drop(count);
        u32::try_from(bits).unwrap_or(u32::MAX)
    }

    /// One bit.
    pub(super) fn bit(&mut self) -> bool {
        self.take(1) == 1
    }

    /// The next 16 bits, not taken.
    pub(super) fn peek16(&mut self) -> u32 {
        if self.ready < 16 {
            self.fill();
        }
        u32::try_from(self.window >> 48).unwrap_or(0)
    }

    /// Takes `count` bits that were looked at.
    pub(super) fn drop(&mut self, count: u32) {
        self.window = self.window.checked_shl(count).unwrap_or(0);
        self.ready = self.ready.saturating_sub(count);
    }

    /// Zeros before the next one, which is taken too; none if there are more than `max`.
    pub(super) fn zeros(&mut self, max: u32) -> Option<u32> {
        let mut zeros = 0;
        loop {
            if self.ready < 32 {
                self.fill();
            }
            let here = self.window.leading_zeros().min(self.ready);
            if here < self.ready {
                zeros += here;
                self.drop(here + 1);
                return (zeros <= max).then_some(zeros);
            }
            zeros += here;
            self.drop(here);
            if zeros > max {
                return None;
            }
        }
    }

    /// Whether bits were taken that are not there.
    pub(super) fn exhausted(&self) -> bool {
        self.made_up > self.ready
    }

    /// Where the next marker begins, once all before it was read.
    pub(super) fn scan_end(&self) -> usize {
        // Bytes that were fetched and not taken may hold a marker of no width; go back over them.
        let from = self.at.saturating_sub(8);
        let rest = self.data.get(from..).unwrap_or_default();
        let found = rest.windows(2).position(|pair| match *pair {
            [0xFF, 0xFF] => false,
            [0xFF, marker] => match self.stuffing {
                Stuffing::Byte => marker != 0,
                Stuffing::Bit => marker >= 0x80,
            },
            _ => false,
        });
        found.map_or(self.data.len(), |found| from + found)
    }
}
