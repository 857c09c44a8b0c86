//! C-FIND (PS3.4, C.4.1), and what requests name.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::association::{Association, Request};
use super::command::CommandSet;
use super::status::{self, Status};
use super::uids;
use super::wire::{WireError, message};
use crate::app::imaging::ports::Selection;
use crate::app::imaging::{ANSWERS_MAX, Found};
use crate::sharing::imaging::answer::{self, Manner, answer};
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::identifier::{Asked, Chosen, Problem, Root, Rules};
use crate::sharing::imaging::query::Match;
use crate::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};
use crate::sharing::imaging::writing::write;

/// Answers fetched at once; between two fetches a C-CANCEL is looked for.
const PAGE: u64 = 500;
/// Bytes of answers in one write.
const WRITE_BYTES: usize = 64 * 1024;

impl Association {
    /// C-FIND over studies.
    pub(super) async fn find(&mut self, request: &Request) -> Result<(), WireError> {
        let class = request.context.abstract_syntax.clone();
        if !uids::is_find(&class) {
            let status = Status::new(0x0122, "C-FIND on another SOP class");
            return self.refuse(request, &status).await;
        }
        let fuzzy = request.context.extended.get(2) == Some(&1);
        let rules = Rules {
            root: root(&class),
            // Whoever leaves a unique key out means any; most archives answer that.
            relational: true,
            combined_date_time: request.context.extended.get(1) == Some(&1),
            fuzzy_names: fuzzy,
            answers_max: ANSWERS_MAX,
        };
        let set = match elements(request) {
            Ok(set) => set,
            Err(status) => return self.refuse(request, &status).await,
        };
        let asked = match Asked::read(&set, &rules) {
            Ok(asked) => asked,
            Err(problem) => return self.refuse_key(request, &problem).await,
        };
        self.find_pages(request, asked).await
    }

    async fn find_pages(&mut self, request: &Request, asked: Asked) -> Result<(), WireError> {
        let message_id = request.command.message_id().unwrap_or_default();
        let mut answered = 0;
        loop {
            let mut query = asked.query.clone();
            query.offset = answered;
            query.limit = PAGE.min(ANSWERS_MAX - answered);
            let found = match self.shared.imaging.answer(&self.requester, query).await {
                Ok(found) => found,
                Err(error) => {
                    let status = status::of_error(&error, 0xC000);
                    return self.refuse(request, &status).await;
                }
            };
            let Found { answers: found, more } = found;
            let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
            answered += count;
            if !self.pending(request, &asked, &found).await? {
                return Ok(());
            }
            if !more {
                return self.refuse(request, &Status::SUCCESS).await;
            }
            if answered >= ANSWERS_MAX {
                let status = Status::new(0xA700, format!("more than {ANSWERS_MAX} match"));
                return self.refuse(request, &status).await;
            }
            if self.cancelled(message_id)? {
                return self.refuse(request, &Status::new(status::CANCEL, "")).await;
            }
        }
    }

    /// Sends answers. False: the peer cancelled meanwhile and was told so.
    async fn pending(
        &mut self,
        request: &Request,
        asked: &Asked,
        found: &[Match],
    ) -> Result<bool, WireError> {
        let message_id = request.command.message_id().unwrap_or_default();
        let code = if asked.ignored.is_empty() {
            status::PENDING
        } else {
            status::PENDING_UNSUPPORTED_KEYS
        };
        let own_title = self.shared.peers.own_title().to_owned();
        let explicit = request.context.transfer_syntax != uids::IMPLICIT_LE;
        let manner = Manner {
            encoding: self.peer.character_set,
            syntax: if explicit {
                answer::Syntax::ExplicitLittleEndian
            } else {
                answer::Syntax::ImplicitLittleEndian
            },
            retrieve_ae: &own_title,
        };
        let mut out = Vec::new();
        for found in found {
            let data = answer(found, asked, &manner);
            let set = CommandSet::response(&request.command).data_set(true).status(code, "");
            out.append(&mut message(request.context.id, set, Some(&data), self.send_bytes_max));
            if out.len() >= WRITE_BYTES {
                self.wire.send(&out).await?;
                out.clear();
                if self.cancelled(message_id)? {
                    self.refuse(request, &Status::new(status::CANCEL, "")).await?;
                    return Ok(false);
                }
            }
        }
        self.wire.send(&out).await?;
        Ok(true)
    }

    /// Refuses an identifier and names the attribute at fault.
    pub(super) async fn refuse_key(
        &mut self,
        request: &Request,
        problem: &Problem,
    ) -> Result<(), WireError> {
        let status = of_problem(problem);
        let set = CommandSet::response(&request.command).data_set(false).status_at(
            status.code,
            problem.tag(),
            &status.comment,
        );
        self.send(request.context.id, set, None).await
    }
}

/// The status of an identifier that cannot be answered.
fn of_problem(problem: &Problem) -> Status {
    Status::new(0xA900, problem.to_string())
}

/// The elements of a request's data set.
pub(super) fn elements(request: &Request) -> Result<ElementSet, Status> {
    let syntax = Syntax::of(&request.context.transfer_syntax)
        .ok_or_else(|| Status::new(0x0110, "transfer syntax is not known"))?;
    let mut guard = Guard::new(syntax, Wanted::All, Limits::default());
    let read = guard.push(&request.data_set).and_then(|()| guard.finish());
    read.map(|facts| facts.captured).map_err(|error| Status::new(0xC000, error.to_string()))
}

/// What a C-MOVE or C-GET selects.
pub(super) fn selection(set: &ElementSet, class: &str) -> Result<Selection, Status> {
    let chosen = Chosen::read(set, root(class)).map_err(|problem| of_problem(&problem))?;
    let Chosen { patient_id, studies, series, instances, .. } = chosen;
    Ok(Selection { patient_id, studies, series, instances })
}

/// The information model that a query or retrieve class belongs to.
fn root(class: &str) -> Root {
    match uids::query_root(class) {
        Some(0) => Root::Patient,
        Some(2) => Root::PatientStudyOnly,
        Some(_) | None => Root::Study,
    }
}

/// The data set of a final response that names what failed (PS3.4, C.4.2.1.4.2); none if nothing
/// did.
pub(super) fn failed_list(transfer_syntax: &str, failed: &[String]) -> Option<Vec<u8>> {
    if failed.is_empty() {
        return None;
    }
    let mut set = ElementSet::default();
    // In explicit VR the length has 16 bits; a list that does not fit is cut at a whole UID.
    let mut list = String::new();
    for uid in failed {
        if list.len() + uid.len() + 1 > usize::from(u16::MAX) - 1 {
            break;
        }
        if !list.is_empty() {
            list.push('\\');
        }
        list.push_str(uid);
    }
    let value = Value::Bytes(list.into_bytes());
    set.insert(Element { tag: tags::FAILED_SOP_INSTANCE_UID_LIST, vr: VR::UI, value });
    Some(write(&set, transfer_syntax != uids::IMPLICIT_LE))
}
