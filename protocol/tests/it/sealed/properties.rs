//! What holds for any input. `WAXWING_CASES` asks for more; a failure prints how to repeat it.

use proptest::prelude::*;
use waxwing_protocol::sealed::{
    Content, ContentHint, ContentKind, EnvelopeSize, Padding, Recipient, SealedMessage, SenderCertificateIn,
    SentMessage, ServerCertificateIn,
};
use waxwing_protocol::{DeviceId, IdentityKeyPair, RegistrationId, ServiceId, ServiceIdKind};

use super::scene::{EXPIRES, Scene, bob};
use crate::cases;
use crate::party::rng;

fn kind() -> impl Strategy<Value = ContentKind> {
    prop::sample::select(vec![ContentKind::PreKey, ContentKind::Signal, ContentKind::SenderKey, ContentKind::Plaintext])
}

fn hint() -> impl Strategy<Value = ContentHint> {
    prop_oneof![
        Just(ContentHint::Default),
        Just(ContentHint::Resendable),
        Just(ContentHint::Implicit),
        (3..=u32::MAX).prop_map(ContentHint::Unknown),
    ]
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![Just(Padding::None), prop::sample::select(EnvelopeSize::ALL.to_vec()).prop_map(Padding::To)]
}

fn account() -> impl Strategy<Value = ServiceId> {
    (any::<bool>(), 0..64_u8).prop_map(|(aci, n)| ServiceId {
        kind: if aci { ServiceIdKind::Aci } else { ServiceIdKind::Pni },
        uuid: [n; 16],
    })
}

fn devices() -> impl Strategy<Value = Vec<(DeviceId, RegistrationId)>> {
    prop::collection::btree_map(1..=127_u32, 0..0x4000_u32, 1..5)
        .prop_map(|map| map.into_iter().map(|(id, reg)| (DeviceId::new(id).unwrap(), RegistrationId(reg))).collect())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn what_is_sealed_opens_to_itself(
        seed in any::<u64>(), kind in kind(), hint in hint(), padding in padding(),
        message in prop::collection::vec(any::<u8>(), 0..1_500), group in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let scene = Scene::new(seed);
        let mut rng = rng(seed);
        let content = Content::new(&scene.certificate, kind, &message)
            .with_hint(hint).with_group_id(&group).with_padding(padding);
        let v1 = content.seal_v1(&scene.alice, scene.bob.public_key(), &mut rng).unwrap();
        let v2 = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut rng).unwrap();
        let envelope = v2.envelope(0).unwrap();
        if let Padding::To(size) = padding {
            prop_assert_eq!(envelope.len(), size.bytes());
            prop_assert!(SealedMessage::from_envelope(&envelope).unwrap().open(&scene.bob).is_ok());
        }
        for sealed in [v1, super::scene::received(&envelope)] {
            let verified = scene.open(&sealed).unwrap().verify(&scene.trust(), EXPIRES, bob()).unwrap();
            prop_assert_eq!(verified.message(), &message[..]);
            prop_assert_eq!((verified.kind(), verified.hint()), (kind, hint));
            prop_assert_eq!(verified.group_id().unwrap_or_default(), &group[..]);
        }
    }

    #[test]
    fn a_sent_form_reads_back(
        seed in any::<u64>(), recipients in prop::collection::btree_map(account(), devices(), 0..12),
        excluded in prop::collection::btree_set(account(), 0..6),
    ) {
        let scene = Scene::new(seed);
        let mut rng = rng(seed);
        let excluded: Vec<_> = excluded.into_iter().filter(|id| !recipients.contains_key(id)).collect();
        let recipients: Vec<_> = recipients.into_iter().map(|(id, devices)| (id, devices, IdentityKeyPair::generate(&mut rng))).collect();
        let to: Vec<_> = recipients.iter().map(|(service_id, devices, key)| {
            Recipient { service_id: *service_id, identity_key: *key.public_key(), devices }
        }).collect();
        let sent = scene.content(b"m").seal_sent(&scene.alice, &to, &excluded, &mut rng).unwrap();
        let read = SentMessage::decode(&sent).unwrap();
        prop_assert_eq!(read.excluded(), &excluded[..]);
        prop_assert_eq!(read.recipients().len(), recipients.len());
        for ((service_id, devices, key), entry) in recipients.iter().zip(read.recipients()) {
            prop_assert_eq!((entry.service_id, &entry.devices), (*service_id, devices));
            let received = read.received_by(*service_id).unwrap();
            prop_assert!(SealedMessage::decode(&received).unwrap().open(key).is_ok());
        }
    }

    #[test]
    fn any_change_is_refused_or_listed(seed in 0..8_u64, at in any::<prop::sample::Index>(), to in any::<u8>(), v1 in any::<bool>()) {
        let scene = Scene::new(seed);
        let mut rng = rng(seed);
        let content = scene.content(b"m");
        let mut sealed = if v1 {
            content.seal_v1(&scene.alice, scene.bob.public_key(), &mut rng).unwrap()
        } else {
            let fan_out = content.seal_fan_out(&scene.alice, &[*scene.bob.public_key()], &mut rng).unwrap();
            super::scene::received(&fan_out.envelope(0).unwrap())
        };
        let at = at.index(sealed.len());
        let before = sealed[at];
        sealed[at] = to;
        let opens = SealedMessage::decode(&sealed).is_ok_and(|message| message.open(&scene.bob).is_ok());
        let same_version = |byte: u8| if v1 { byte >> 5 == 0 } else { byte >> 4 == 2 };
        prop_assert_eq!(opens, to == before || (at == 0 && same_version(to)));
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), version in prop::sample::select(vec![0x11, 0x22, 0x23])) {
        let mut bytes = bytes;
        let _ = (ServerCertificateIn::decode(&bytes), SenderCertificateIn::decode(&bytes));
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let _ = (SealedMessage::decode(&bytes).map(|message| message.open(&Scene::new(0).bob)), SentMessage::decode(&bytes).map(drop));
    }
}
