//! Command sets (PS3.7, 6.3 and annex E): flat, group 0000, implicit VR little endian.
//!
//! A command set holds a dozen short elements and never a sequence, so it is read here by hand with
//! its own limit, before anything of the message is believed.

use bytes::Bytes;

/// Bytes of a command set at most. The longest that the standard allows, with lists of attributes
/// at fault, stays far below.
pub(super) const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Elements of a command set at most.
const ELEMENTS_MAX: usize = 64;
/// Value of (0000,0800) when no data set follows.
const NO_DATA_SET: u16 = 0x0101;
/// Characters of an error comment at most (LO).
const COMMENT_CHARS_MAX: usize = 64;

/// Element numbers of group 0000.
pub(super) mod element {
    pub(crate) const AFFECTED_SOP_CLASS: u16 = 0x0002;
    pub(crate) const REQUESTED_SOP_CLASS: u16 = 0x0003;
    pub(crate) const COMMAND_FIELD: u16 = 0x0100;
    pub(crate) const MESSAGE_ID: u16 = 0x0110;
    pub(crate) const MESSAGE_ID_RESPONDED_TO: u16 = 0x0120;
    pub(crate) const MOVE_DESTINATION: u16 = 0x0600;
    pub(crate) const PRIORITY: u16 = 0x0700;
    pub(crate) const DATA_SET_TYPE: u16 = 0x0800;
    pub(crate) const STATUS: u16 = 0x0900;
    pub(crate) const OFFENDING_ELEMENT: u16 = 0x0901;
    pub(crate) const ERROR_COMMENT: u16 = 0x0902;
    pub(crate) const ERROR_ID: u16 = 0x0903;
    pub(crate) const AFFECTED_SOP_INSTANCE: u16 = 0x1000;
    pub(crate) const REQUESTED_SOP_INSTANCE: u16 = 0x1001;
    pub(crate) const EVENT_TYPE: u16 = 0x1002;
    pub(crate) const ACTION_TYPE: u16 = 0x1008;
    pub(crate) const REMAINING: u16 = 0x1020;
    pub(crate) const COMPLETED: u16 = 0x1021;
    pub(crate) const FAILED: u16 = 0x1022;
    pub(crate) const WARNING: u16 = 0x1023;
    pub(crate) const MOVE_ORIGINATOR: u16 = 0x1030;
    pub(crate) const MOVE_ORIGINATOR_MESSAGE_ID: u16 = 0x1031;
}

/// Command fields (PS3.7, E.1). A response has bit 15 set.
pub(super) mod field {
    pub(crate) const C_STORE_RQ: u16 = 0x0001;
    pub(crate) const C_GET_RQ: u16 = 0x0010;
    pub(crate) const C_FIND_RQ: u16 = 0x0020;
    pub(crate) const C_MOVE_RQ: u16 = 0x0021;
    pub(crate) const C_ECHO_RQ: u16 = 0x0030;
    pub(crate) const N_EVENT_REPORT_RQ: u16 = 0x0100;
    pub(crate) const N_SET_RQ: u16 = 0x0120;
    pub(crate) const N_ACTION_RQ: u16 = 0x0130;
    pub(crate) const N_CREATE_RQ: u16 = 0x0140;
    pub(crate) const C_CANCEL_RQ: u16 = 0x0FFF;
    pub(crate) const RESPONSE: u16 = 0x8000;
}

/// Why bytes are no command set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    #[error("command set is longer than {COMMAND_BYTES_MAX} bytes")]
    TooLong,
    #[error("command set has more than {ELEMENTS_MAX} elements")]
    TooMany,
    #[error("command set ends within an element")]
    Truncated,
    #[error("command set holds an element of group {0:04x}; only group 0000 is allowed")]
    Group(u16),
    #[error("command set lacks element (0000,{0:04x})")]
    Missing(u16),
    #[error("element (0000,{0:04x}) must have 2 bytes")]
    Length(u16),
}

/// A command set as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    elements: Vec<(u16, Bytes)>,
    /// Command field, (0000,0100).
    pub(super) field: u16,
    /// Whether a data set follows.
    pub(super) has_data_set: bool,
}

impl Command {
    /// Reads a whole command set.
    pub(super) fn read(mut bytes: Bytes) -> Result<Self, CommandError> {
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(CommandError::TooLong);
        }
        let mut elements = Vec::with_capacity(12);
        while !bytes.is_empty() {
            let Some((head, _)) = bytes.split_first_chunk::<8>() else {
                return Err(CommandError::Truncated);
            };
            let [g0, g1, e0, e1, l0, l1, l2, l3] = *head;
            let group = u16::from_le_bytes([g0, g1]);
            if group != 0 {
                return Err(CommandError::Group(group));
            }
            let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3]))
                .map_err(|_| CommandError::Truncated)?;
            let _ = bytes.split_to(8);
            if length > bytes.len() {
                return Err(CommandError::Truncated);
            }
            if elements.len() == ELEMENTS_MAX {
                return Err(CommandError::TooMany);
            }
            elements.push((u16::from_le_bytes([e0, e1]), bytes.split_to(length)));
        }
        let mut command = Self { elements, field: 0, has_data_set: false };
        command.field = command.number(element::COMMAND_FIELD)?;
        command.has_data_set = command.number(element::DATA_SET_TYPE)? != NO_DATA_SET;
        Ok(command)
    }

    fn value(&self, element: u16) -> Option<&[u8]> {
        self.elements.iter().find(|(e, _)| *e == element).map(|(_, value)| &value[..])
    }

    /// A number of two bytes that must be there.
    pub(super) fn number(&self, element: u16) -> Result<u16, CommandError> {
        self.number_if_any(element)?.ok_or(CommandError::Missing(element))
    }

    /// A number of two bytes that may be absent.
    pub(super) fn number_if_any(&self, element: u16) -> Result<Option<u16>, CommandError> {
        match self.value(element) {
            None => Ok(None),
            Some(&[low, high]) => Ok(Some(u16::from_le_bytes([low, high]))),
            Some(_) => Err(CommandError::Length(element)),
        }
    }

    /// Text without padding; empty if absent. Bytes that are no ASCII become U+FFFD.
    pub(super) fn text(&self, element: u16) -> String {
        let value = self.value(element).unwrap_or_default();
        String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned()
    }

    /// The message id of a request.
    pub(super) fn message_id(&self) -> Result<u16, CommandError> {
        self.number(element::MESSAGE_ID)
    }
}

/// A command set that is to be sent. Elements must be added in the order of their numbers.
#[derive(Debug, Clone)]
pub(super) struct CommandSet {
    bytes: Vec<u8>,
}

impl CommandSet {
    /// A request.
    pub(super) fn request(field: u16, sop_class: &str, message_id: u16) -> Self {
        let class = match field {
            field::N_SET_RQ | field::N_ACTION_RQ => element::REQUESTED_SOP_CLASS,
            _ => element::AFFECTED_SOP_CLASS,
        };
        Self { bytes: Vec::with_capacity(256) }
            .text(class, sop_class)
            .number(element::COMMAND_FIELD, field)
            .number(element::MESSAGE_ID, message_id)
    }

    /// The beginning of a response to `request`.
    pub(super) fn response(request: &Command) -> Self {
        let mut class = request.text(element::AFFECTED_SOP_CLASS);
        if class.is_empty() {
            class = request.text(element::REQUESTED_SOP_CLASS);
        }
        let id = request.message_id().unwrap_or_default();
        let set = Self { bytes: Vec::with_capacity(256) };
        let set =
            if class.is_empty() { set } else { set.text(element::AFFECTED_SOP_CLASS, &class) };
        set.number(element::COMMAND_FIELD, request.field | field::RESPONSE)
            .number(element::MESSAGE_ID_RESPONDED_TO, id)
    }

    /// Says whether a data set follows.
    pub(super) fn data_set(self, follows: bool) -> Self {
        self.number(element::DATA_SET_TYPE, if follows { 0x0001 } else { NO_DATA_SET })
    }

    /// The status, with a comment for people if there is one.
    pub(super) fn status(self, status: u16, comment: &str) -> Self {
        self.number(element::STATUS, status).comment(comment)
    }

    /// The status, with the attribute at fault.
    pub(super) fn status_at(self, status: u16, at: dicom_core::Tag, comment: &str) -> Self {
        let mut set = self.number(element::STATUS, status);
        let [g0, g1] = at.group().to_le_bytes();
        let [e0, e1] = at.element().to_le_bytes();
        set.put(element::OFFENDING_ELEMENT, &[g0, g1, e0, e1]);
        set.comment(comment)
    }

    fn comment(self, comment: &str) -> Self {
        if comment.is_empty() {
            return self;
        }
        let short: String = comment.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        self.text(element::ERROR_COMMENT, short.get(..COMMENT_CHARS_MAX).unwrap_or(&short))
    }

    /// A number of two bytes.
    pub(super) fn number(mut self, element: u16, value: u16) -> Self {
        self.put(element, &value.to_le_bytes());
        self
    }

    /// Text, padded to an even length as its VR asks: UIDs with NUL, other text with a space.
    pub(super) fn text(mut self, element: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            let uid = matches!(element, 0x0002 | 0x0003 | 0x1000 | 0x1001);
            bytes.push(if uid { 0 } else { b' ' });
        }
        self.put(element, &bytes);
        self
    }

    fn put(&mut self, element: u16, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&element.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// The bytes, group length first.
    pub(super) fn encode(self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(self.bytes.len() + 12);
        out.extend_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0]);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: Vec<u8>) -> Result<Command, CommandError> {
        Command::read(Bytes::from(bytes))
    }

    #[test]
    fn a_request_reads_back() {
        let bytes = CommandSet::request(field::C_STORE_RQ, "1.2.840.10008.1.1", 7)
            .number(element::PRIORITY, 2)
            .data_set(true)
            .text(element::AFFECTED_SOP_INSTANCE, "1.2.3")
            .encode();
        let command = read(bytes).unwrap();
        assert_eq!(command.field, field::C_STORE_RQ);
        assert!(command.has_data_set);
        assert_eq!(command.message_id(), Ok(7));
        assert_eq!(command.text(element::AFFECTED_SOP_INSTANCE), "1.2.3");
        assert_eq!(command.text(element::AFFECTED_SOP_CLASS), "1.2.840.10008.1.1");
    }

    #[test]
    fn a_response_names_what_it_answers() {
        let request = read(
            CommandSet::request(field::N_ACTION_RQ, "1.2.840.10008.1.20.1", 9)
                .data_set(true)
                .encode(),
        )
        .unwrap();
        let long = "x".repeat(100);
        let response =
            read(CommandSet::response(&request).data_set(false).status(0xA700, &long).encode())
                .unwrap();
        assert_eq!(response.field, field::N_ACTION_RQ | field::RESPONSE);
        assert!(!response.has_data_set);
        assert_eq!(response.number(element::MESSAGE_ID_RESPONDED_TO), Ok(9));
        assert_eq!(response.number(element::STATUS), Ok(0xA700));
        assert_eq!(response.text(element::ERROR_COMMENT).len(), COMMENT_CHARS_MAX);
        assert_eq!(response.text(element::AFFECTED_SOP_CLASS), "1.2.840.10008.1.20.1");
    }

    #[test]
    fn what_is_no_command_set_is_refused_with_the_reason() {
        assert_eq!(read(Vec::new()), Err(CommandError::Missing(element::COMMAND_FIELD)));
        assert_eq!(read(vec![0; 5]), Err(CommandError::Truncated));
        assert_eq!(read(vec![0, 0, 0, 1, 9, 0, 0, 0, 1, 2]), Err(CommandError::Truncated));
        assert_eq!(read(vec![8, 0, 5, 0, 0, 0, 0, 0]), Err(CommandError::Group(8)));
        assert_eq!(read(vec![0; COMMAND_BYTES_MAX + 1]), Err(CommandError::TooLong));
        let empty = [0, 0, 0, 9, 0, 0, 0, 0];
        assert_eq!(read(empty.repeat(ELEMENTS_MAX + 1)), Err(CommandError::TooMany));
        let odd = [0, 0, 0, 1, 1, 0, 0, 0, 1];
        assert_eq!(read(odd.to_vec()), Err(CommandError::Length(element::COMMAND_FIELD)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_command_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read(bytes);
        }
    }
}
