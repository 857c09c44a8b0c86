//! Each rule without a socket.

use std::net::Ipv4Addr;

use super::*;
use crate::app::imaging::peers::Services;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const JPEG: &str = "1.2.840.10008.1.2.4.70";
const FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";

fn request(contexts: &[(&str, &[&str])], user_variables: Vec<UserVariableItem>) -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "CT01".to_owned(),
        called_ae_title: "XIANGYI".to_owned(),
        application_context_name: uids::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts
            .iter()
            .zip((1_u8..).step_by(2))
            .map(|((class, syntaxes), id)| PresentationContextProposed {
                id,
                abstract_syntax: (*class).to_owned(),
                transfer_syntaxes: syntaxes.iter().map(|s| (*s).to_owned()).collect(),
            })
            .collect(),
        user_variables,
    }
}

fn decide_for(
    request: &AssociationRQ,
    services: Services,
) -> Result<Accepted, (AssociationRJ, &'static str)> {
    let peers = Peers::new(vec!["XIANGYI".to_owned()], Vec::new(), Some(services));
    let here =
        Here { from: Ipv4Addr::LOCALHOST.into(), shown: &Shown::Plain, pdu_bytes_max: 65_536 };
    negotiate(request, &peers, here)
}

#[test]
fn requests_that_are_not_for_us_are_rejected_with_the_reason() {
    let good = request(&[(uids::VERIFICATION, &[uids::IMPLICIT_LE])], Vec::new());
    let old = AssociationRQ { protocol_version: 2, ..good.clone() };
    let other = AssociationRQ { application_context_name: "1.2.3".to_owned(), ..good.clone() };
    let elsewhere = AssociationRQ { called_ae_title: "PACS".to_owned(), ..good.clone() };
    for (bad, why) in
        [(old, "protocol version"), (other, "application context"), (elsewhere, "called AE title")]
    {
        assert_eq!(decide_for(&bad, Services::all()).unwrap_err().1, why);
    }
    assert_eq!(decide_for(&good, Services::all()).unwrap().contexts.len(), 1);
}

#[test]
fn storage_keeps_what_is_compressed_and_prefers_explicit_little_endian_else() {
    let contexts: &[(&str, &[&str])] = &[
        (CT, &[uids::IMPLICIT_LE, uids::EXPLICIT_LE]),
        (CT, &[uids::EXPLICIT_BE, uids::EXPLICIT_LE]),
        (CT, &[JPEG, uids::EXPLICIT_LE]),
        (CT, &[uids::IMPLICIT_LE]),
    ];
    let accepted = decide_for(&request(contexts, Vec::new()), Services::all()).unwrap();
    let chosen: Vec<&str> = accepted.contexts.iter().map(|c| &*c.transfer_syntax).collect();
    assert_eq!(chosen, [uids::EXPLICIT_LE, uids::EXPLICIT_LE, JPEG, uids::IMPLICIT_LE]);
}

#[test]
fn what_a_peer_may_not_ask_or_nobody_knows_is_refused_alone() {
    let contexts: &[(&str, &[&str])] = &[
        (uids::VERIFICATION, &[uids::IMPLICIT_LE]),
        (FIND, &[uids::IMPLICIT_LE]),
        ("1.2.840.10008.99", &[uids::IMPLICIT_LE]),
        (uids::VERIFICATION, &[JPEG]),
    ];
    let services = [Service::Echo].into_iter().collect();
    let accepted = decide_for(&request(contexts, Vec::new()), services).unwrap();
    let reasons: Vec<Reason> =
        accepted.answer.presentation_contexts.iter().map(|c| c.reason.clone()).collect();
    assert_eq!(
        reasons,
        [
            Reason::Acceptance,
            Reason::UserRejection,
            Reason::AbstractSyntaxNotSupported,
            Reason::TransferSyntaxesNotSupported,
        ]
    );
}

#[test]
fn a_context_for_c_get_needs_the_role_and_the_right() {
    let roles = RequestorRoles { scu: false, scp: true };
    let item = UserVariableItem::ScuScpRoleSelectionSubItem(CT.to_owned(), roles);
    let asked = request(&[(CT, &[uids::EXPLICIT_LE])], vec![item]);
    for (service, we_invoke) in [(Service::Retrieve, true), (Service::Store, false)] {
        let accepted = decide_for(&asked, [service].into_iter().collect()).unwrap();
        assert_eq!(accepted.contexts[0].we_invoke, we_invoke);
        let answered = accepted.answer.user_variables.iter().any(|item| {
            matches!(item, UserVariableItem::ScuScpRoleSelectionSubItem(_, r) if r.scp == we_invoke)
        });
        assert!(answered);
    }
}

#[test]
fn the_window_is_what_is_asked_for_up_to_ours() {
    for (asked, window) in [(None, 1), (Some([0, 0]), 16), (Some([0, 4]), 4), (Some([9, 9]), 16)] {
        let item = |n: [u8; 2]| UserVariableItem::Unknown(ASYNC_WINDOW, vec![n[0], n[1], 0, 1]);
        let items = asked.map(item).into_iter().collect();
        let asked = request(&[(CT, &[uids::EXPLICIT_LE])], items);
        assert_eq!(decide_for(&asked, Services::all()).unwrap().window, window);
    }
}
