//! Bringing the index up to what the archive holds.

use super::OBJECT_BYTES_MAX;
use super::holdings::{Holdings, copies_among};
use super::ports::{Archive, ArchivedObject, IndexEntry, StudyIndex};
use crate::app::error::Error;
use crate::sharing::imaging::header::{Header, WANTED};
use crate::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};

/// Objects read from the archive at once.
const PAGE: usize = 256;
/// Bytes of an object read at once.
const READ_BYTES: u64 = 64 * 1024;

/// What catching up did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Objects added to the index.
    pub added: u64,
    /// Objects whose bytes no longer can be read as what they were; they stay in the archive.
    pub unreadable: u64,
}

/// Adds to `index` all that `archive` holds beyond what the index has reached. With `holdings`, what
/// was fetched from other nodes is noted as copies first; without, as when a lost index is made anew,
/// only what is noted already is a copy.
pub async fn catch_up(
    archive: &dyn Archive,
    index: &dyn StudyIndex,
    holdings: Option<&dyn Holdings>,
    progress: &mut (dyn FnMut(&CaughtUp) + Send),
) -> Result<CaughtUp, Error> {
    let mut done = CaughtUp::default();
    let mut reached = index.reached().await?;
    loop {
        let page = archive.objects_after(reached, PAGE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        reached = Some(last.location);
        let uids = page.iter().map(|o| o.head.uids.instance.clone()).collect();
        let known = index.known(uids).await?;
        let mut entries: Vec<IndexEntry> = Vec::with_capacity(page.len());
        for (object, known) in page.into_iter().zip(known) {
            // Bytes that are kept twice, because the node died before it erased the second copy,
            // are one object. The copy stays: an index is no proof that the other can be read.
            let twice = known.iter().map(|k| k.digest).chain(entries.iter().map(|e| e.digest));
            if object.erased || twice.into_iter().any(|digest| digest == object.digest) {
                continue;
            }
            let Some(header) = read_header(archive, &object).await? else {
                done.unreadable += 1;
                continue;
            };
            let ArchivedObject { digest, head, location, .. } = object;
            let twin = |e: &IndexEntry| e.head.uids.instance == head.uids.instance;
            let apart = !known.is_empty() || entries.iter().any(twin);
            entries.push(IndexEntry { digest, head, location, header, apart });
        }
        done.added += u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if !entries.is_empty() {
            let copies = copies_among(&entries);
            if let Some(holdings) = holdings.filter(|_| !copies.is_empty()) {
                holdings.note(copies).await?;
            }
            index.add(entries).await?;
        }
        progress(&done);
    }
}

/// Reads an object's header again. None if the archive's bytes are no longer what was stored.
async fn read_header(
    archive: &dyn Archive,
    object: &ArchivedObject,
) -> Result<Option<Header>, Error> {
    let Some(syntax) = Syntax::of(&object.head.transfer_syntax) else { return Ok(None) };
    let mut guard = Guard::new(syntax, Wanted::List(WANTED), Limits::default());
    let mut at = 0;
    let end = object.location.length.min(OBJECT_BYTES_MAX);
    while at < end {
        let bytes = archive.read(object.location, at..(at + READ_BYTES).min(end)).await?;
        if bytes.is_empty() || guard.push(&bytes).is_err() {
            return Ok(None);
        }
        if guard.facts().pixel_data.is_some() {
            // What follows the pixels is not for finding; an archive is long to read.
            return Ok(Some(Header::from_elements(&guard.abandon().captured)));
        }
        at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }
    Ok(guard.finish().ok().map(|facts| Header::from_elements(&facts.captured)))
}
