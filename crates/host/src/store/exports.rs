//! The exports of `vouchsafe:store`: decode, call, encode.

use super::calls::unlimited;
use super::convert::{all, answer};
use crate::bindings::store::{log, revocations, state};
use crate::bindings::types as wit;
use crate::spin::Spin;
use crate::sqlite::{Kind, Work, at_once};
use crate::state::GuestState;
use vouchsafe_store::Error;
use vouchsafe_types as types;
use wasmtime::component::{Accessor, Linker};

type Answer<T> = wasmtime::Result<Result<T, wit::StoreError>>;

/// Adds `vouchsafe:store`.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, Spin>(linker, |state| state)?;
    revocations::add_to_linker::<_, Spin>(linker, |state| state)?;
    state::add_to_linker::<_, Spin>(linker, |state| state)
}

/// Runs `work` on the store. Fails only if there is none.
async fn call<T, A: Send + 'static>(
    accessor: &Accessor<T, Spin>,
    kind: Kind,
    work: impl Work<A>,
) -> wasmtime::Result<Result<A, Error>> {
    let store = accessor.with(|mut access| access.get().store.clone());
    let store = store.ok_or_else(|| wasmtime::format_err!("the host has no store"))?;
    Ok(store.call(kind, work).await)
}

impl state::Host for GuestState {}
impl revocations::Host for GuestState {}
impl log::Host for GuestState {}

impl<T: 'static> state::HostWithStore<T> for Spin {
    async fn ready(accessor: &Accessor<T, Self>) -> Answer<()> {
        answer(call(accessor, Kind::Read, |store, _| at_once(store.ready())).await?)
    }

    async fn writable(accessor: &Accessor<T, Self>) -> Answer<wit::Space> {
        answer(call(accessor, Kind::Write, |store, now| at_once(store.writable(now))).await?)
    }

    async fn consume(accessor: &Accessor<T, Self>, uses: Vec<wit::TokenUse>) -> Answer<Vec<wit::Consumption>> {
        let uses: Vec<types::TokenUse> = all(uses);
        let consumed = call(accessor, Kind::Write, move |store, now| {
            at_once(store.consume_uses(uses.clone(), now, &mut unlimited()))
        });
        answer(consumed.await?.map(all::<_, wit::Consumption>))
    }

    async fn record(accessor: &Accessor<T, Self>, entry: wit::AuditRecord) -> Answer<wit::Recorded> {
        let entry = types::AuditRecord::from(entry);
        let recorded =
            call(accessor, Kind::Write, move |store, now| at_once(store.record(entry.clone(), now, &mut unlimited())));
        answer(recorded.await?)
    }

    async fn generation_get(accessor: &Accessor<T, Self>, of: String) -> Answer<Option<u64>> {
        answer(call(accessor, Kind::Read, move |store, _| at_once(store.generation_get(&of))).await?)
    }

    async fn lease(accessor: &Accessor<T, Self>, name: String, ttl_ms: u64) -> Answer<bool> {
        answer(call(accessor, Kind::Write, move |store, now| at_once(store.lease(&name, ttl_ms, now))).await?)
    }

    async fn document_get(accessor: &Accessor<T, Self>, name: String) -> Answer<Option<wit::Document>> {
        let found = call(accessor, Kind::Read, move |store, _| at_once(store.document_get(&name)));
        answer(found.await?.map(|document| document.map(wit::Document::from)))
    }

    async fn document_put(accessor: &Accessor<T, Self>, name: String, document: wit::Document) -> Answer<()> {
        let document = types::Document::from(document);
        let put =
            call(accessor, Kind::Write, move |store, now| at_once(store.document_put(&name, document.clone(), now)));
        answer(put.await?)
    }

    async fn pointer_get(accessor: &Accessor<T, Self>, name: String) -> Answer<Option<wit::Pointer>> {
        let found = call(accessor, Kind::Read, move |store, _| at_once(store.pointer_get(&name)));
        answer(found.await?.map(|pointer| pointer.map(wit::Pointer::from)))
    }

    async fn pointer_compare_and_swap(
        accessor: &Accessor<T, Self>,
        name: String,
        expected: Option<u64>,
        value: String,
    ) -> Answer<bool> {
        let swapped = call(accessor, Kind::Write, move |store, _| {
            at_once(store.pointer_compare_and_swap(&name, expected, value.clone()))
        });
        answer(swapped.await?)
    }
}

impl<T: 'static> revocations::HostWithStore<T> for Spin {
    async fn add(
        accessor: &Accessor<T, Self>,
        id: String,
        target: wit::RevocationTarget,
        by: wit::Attribution,
    ) -> Answer<wit::Added> {
        let (target, by) = (types::RevocationTarget::from(target), types::Attribution::from(by));
        let added = call(accessor, Kind::Alone, move |store, now| {
            at_once(store.add_revocation(&id, target.clone(), by.clone(), now))
        });
        answer(added.await?)
    }

    async fn lift(accessor: &Accessor<T, Self>, id: String, by: wit::Attribution) -> Answer<Option<wit::Revocation>> {
        let by = types::Attribution::from(by);
        let lifted = call(accessor, Kind::Alone, move |store, now| at_once(store.lift_block(&id, by.clone(), now)));
        answer(lifted.await?.map(|revocation| revocation.map(wit::Revocation::from)))
    }

    async fn list(accessor: &Accessor<T, Self>) -> Answer<Vec<wit::Revocation>> {
        let found = call(accessor, Kind::Read, |store, now| at_once(store.revocations(now)));
        answer(found.await?.map(all::<_, wit::Revocation>))
    }

    async fn in_force(accessor: &Accessor<T, Self>) -> Answer<wit::RevocationList> {
        answer(call(accessor, Kind::Read, |store, now| at_once(store.revocation_list(now))).await?)
    }

    async fn lease_status(accessor: &Accessor<T, Self>) -> Answer<wit::StatusBlock> {
        answer(call(accessor, Kind::Alone, |store, _| at_once(store.lease_status())).await?)
    }

    async fn status_lists(accessor: &Accessor<T, Self>) -> Answer<Vec<String>> {
        answer(call(accessor, Kind::Read, |store, now| at_once(store.status_lists(now))).await?)
    }

    async fn status_list_get(accessor: &Accessor<T, Self>, name: String) -> Answer<Option<wit::StatusList>> {
        let found = call(accessor, Kind::Read, move |store, now| at_once(store.status_list(&name, now)));
        answer(found.await?.map(|list| list.map(wit::StatusList::from)))
    }

    async fn count(accessor: &Accessor<T, Self>, target: wit::RevocationTarget) -> Answer<wit::Affected> {
        let target = types::RevocationTarget::from(target);
        let counted = call(accessor, Kind::Read, move |store, now| at_once(store.count_revoked(target.clone(), now)));
        answer(counted.await?)
    }

    async fn active(accessor: &Accessor<T, Self>, jtis: Vec<String>) -> Answer<Vec<bool>> {
        answer(call(accessor, Kind::Read, move |store, _| at_once(store.active(&jtis))).await?)
    }
}

impl<T: 'static> log::HostWithStore<T> for Spin {
    async fn grow(accessor: &Accessor<T, Self>, more: bool) -> Answer<Option<wit::TreeHead>> {
        let grown = call(accessor, Kind::Alone, move |store, now| at_once(store.log_grow(more, now)));
        answer(grown.await?.map(|head| head.map(wit::TreeHead::from)))
    }

    async fn checkpoint(accessor: &Accessor<T, Self>, log: Option<u64>) -> Answer<Option<String>> {
        answer(call(accessor, Kind::Read, move |store, _| at_once(store.log_checkpoint(log))).await?)
    }

    async fn tile(accessor: &Accessor<T, Self>, log: Option<u64>, path: String) -> Answer<Option<Vec<u8>>> {
        answer(call(accessor, Kind::Read, move |store, _| at_once(store.log_tile(log, &path))).await?)
    }

    async fn prove(accessor: &Accessor<T, Self>, decision_id: String) -> Answer<wit::LogProof> {
        answer(call(accessor, Kind::Read, move |store, _| at_once(store.log_proof(&decision_id))).await?)
    }
}
