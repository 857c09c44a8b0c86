//! Messages of the contract as JSON (the protobuf JSON mapping with the field names of the
//! `.proto` files), so that `--json` and input files need no second description.

use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use prost_reflect::{ReflectMessage as _, SerializeOptions};

use super::Failure;
use crate::rpc::DESCRIPTORS;

/// `message`, whose full name is `name`, as indented JSON with a line end.
pub(super) fn print<M: Message>(name: &str, message: &M) -> Result<String, Failure> {
    let dynamic = DynamicMessage::decode(descriptor(name)?, message.encode_to_vec().as_slice())?;
    debug_assert_eq!(dynamic.descriptor().full_name(), name);
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"  ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    dynamic.serialize_with_options(&mut serializer, &options)?;
    out.push(b'\n');
    Ok(String::from_utf8(out)?)
}

/// The message `name` from JSON; an unknown field is an error that says where.
pub(super) fn parse<M: Message + Default>(name: &str, text: &str) -> Result<M, Failure> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let dynamic =
        DynamicMessage::deserialize_with_options(descriptor(name)?, &mut deserializer, &options)?;
    deserializer.end()?;
    Ok(M::decode(dynamic.encode_to_vec().as_slice())?)
}

fn descriptor(name: &str) -> Result<MessageDescriptor, Failure> {
    let pool = DescriptorPool::decode(DESCRIPTORS)?;
    pool.get_message_by_name(name).ok_or_else(|| format!("no message `{name}`").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::proto::xiangyi::prescription::v1 as pb;

    const NAME: &str = "xiangyi.prescription.v1.CheckPrescriptionRequest";

    #[test]
    fn an_order_file_reads_and_prints_back() {
        let text =
            r#"{"setting": "SETTING_EMERGENCY", "lines": [{"name": "阿莫西林胶囊", "days": 3}]}"#;
        let order: pb::CheckPrescriptionRequest = parse(NAME, text).unwrap();
        assert_eq!(order.setting(), pb::Setting::Emergency);
        let again: pb::CheckPrescriptionRequest =
            parse(NAME, &print(NAME, &order).unwrap()).unwrap();
        assert_eq!(again, order);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place() {
        let error = parse::<pb::CheckPrescriptionRequest>(NAME, "{\n\"line\": []}").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line") && text.contains("line 2"), "{text}");
    }
}
