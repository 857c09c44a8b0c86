//! Where an attribute of one frame stands: in the frame's own functional groups, in those shared by
//! all frames, or in the data set itself (PS3.3, C.7.6.16).

use super::dataset::Elements;
use super::error::Result;

const SHARED: u32 = 0x5200_9229;
const PER_FRAME: u32 = 0x5200_9230;

/// The places, nearest first.
#[derive(Debug)]
pub(super) struct Scopes<'a> {
    frame: Option<Elements<'a>>,
    shared: Option<Elements<'a>>,
    all: Elements<'a>,
}

impl<'a> Scopes<'a> {
    /// The scopes of the frame with `index` (from 0).
    pub(super) fn read(set: &Elements<'a>, index: usize) -> Result<Self> {
        Ok(Self {
            frame: set.item(PER_FRAME, index)?,
            shared: set.item(SHARED, 0)?,
            all: set.clone(),
        })
    }

    /// The elements that hold `tag`: the first item of the sequence `group` in the nearest scope
    /// that has it, else the data set.
    pub(super) fn holding(&self, group: u32, tag: u32) -> Result<Elements<'a>> {
        for scope in [&self.frame, &self.shared].into_iter().flatten() {
            if let Some(item) = scope.item(group, 0)?
                && item.get(tag).is_some()
            {
                return Ok(item);
            }
        }
        Ok(self.all.clone())
    }
}
