// The part of the peer that pushes to registered consumers, rightly or, when told to, wrongly.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use rheos_client::protocol::batch::{Batch, BatchHeader, HEADER_BYTES};
use rheos_client::protocol::hash::HashRange;
use rheos_client::protocol::message::{ConsumerOf, Push, PushEnd, Reply, Request, Subscribe};
use rheos_client::{ErrorCode, ShardDescription, WireError};
use tokio::sync::mpsc;

use super::{Peer, Shard, Shared, State, answer, frame};

/// Bytes at which the peer closes a push.
const PUSH_BYTES: usize = 64 << 10;

/// What the peer does when a push is due.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "no test needs all of it")]
pub(crate) enum Twist {
    /// Pushes after all.
    Push,
    /// Pushes half of it, then ends the connection.
    Break,
    /// Leaves out the first batch.
    Gap,
    /// Pushes the batch before once more.
    Repeat,
    /// Says that it is another shard's.
    WrongShard,
    /// Changes a byte of it.
    Corrupt,
    /// Pushes everything from now on, whatever was granted.
    BeyondCredit,
    /// Names a subscription that nobody made.
    UnknownSubscription,
    /// Writes these bytes to the push stream.
    Raw(Vec<u8>),
    /// Ends the subscription.
    End(PushEnd),
}

/// Registered consumers, and what they were and are to be sent.
#[derive(Default)]
pub(super) struct Consumers {
    serial_last: u64,
    /// Who has a shard: the epoch and the serial number of its subscription.
    owners: BTreeMap<(u64, String, u32), (u64, u64)>,
    twists: VecDeque<Twist>,
    refusals: VecDeque<WireError>,
    subscribes: Vec<Subscribe>,
    /// The ids that they were asked for under.
    ids: Vec<u64>,
    granted: u64,
    pushed: u64,
    standing: usize,
    /// Connections up to this one, by the order of their Hello, say nothing about subscriptions.
    mute_until: usize,
}

struct Subscription {
    subscribe: Subscribe,
    serial: u64,
    next: u64,
    is_first: bool,
    credit: i64,
}

#[allow(dead_code, reason = "no test needs all of it")]
impl Peer {
    pub(crate) fn register(&self, stream: &str, consumer: &str) {
        let of = ConsumerOf { stream: stream.to_owned(), consumer: consumer.to_owned() };
        self.state(|state| state.administer(Request::RegisterConsumer(of.into())).unwrap());
    }

    pub(crate) fn deregister(&self, stream: &str, consumer: &str) {
        let of = ConsumerOf { stream: stream.to_owned(), consumer: consumer.to_owned() };
        self.state(|state| state.administer(Request::DeregisterConsumer(of)).unwrap());
    }

    /// What to do with the next pushes.
    pub(crate) fn twist(&self, twists: impl IntoIterator<Item = Twist>) {
        self.state(|state| state.consumers.twists.extend(twists));
    }

    pub(crate) fn twists_left(&self) -> usize {
        self.state(|state| state.consumers.twists.len())
    }

    /// Refuses the next subscription.
    pub(crate) fn refuse_subscription(&self, error: WireError) {
        self.state(|state| state.consumers.refusals.push_back(error));
    }

    /// The subscriptions that were asked for.
    pub(crate) fn subscribes(&self) -> Vec<Subscribe> {
        self.state(|state| state.consumers.subscribes.clone())
    }

    /// The ids that they were asked for under.
    pub(crate) fn subscription_ids(&self) -> Vec<u64> {
        self.state(|state| state.consumers.ids.clone())
    }

    /// Bytes of batches that were granted, and those that were pushed.
    pub(crate) fn granted_and_pushed(&self) -> (u64, u64) {
        self.state(|state| (state.consumers.granted, state.consumers.pushed))
    }

    /// How many subscription streams stand.
    pub(crate) fn subscription_streams(&self) -> usize {
        self.state(|state| state.consumers.standing)
    }

    /// From now on nothing is answered on the subscription streams of the connections that stand.
    pub(crate) fn mute_connections(&self) {
        self.state(|state| state.consumers.mute_until = state.hellos as usize);
    }

    /// Closes shards, and opens others over what they covered.
    pub(crate) fn reshard(&self, name: &str, parents: &[u32], children: u32) -> Vec<u32> {
        self.state(|state| state.reshard(name, parents, children))
    }
}

impl State {
    pub(super) fn reshard(&mut self, name: &str, parents: &[u32], children: u32) -> Vec<u32> {
        let lanes = self.lanes.max(1);
        let stream = self.streams.get_mut(name).unwrap();
        let first = stream.shards.len() as u32;
        let numbers: Vec<u32> = (first..first + children).collect();
        for parent in parents {
            stream.description.shards[*parent as usize].open = false;
            stream.shards[*parent as usize].children = Some(numbers.clone());
        }
        for (shard, range) in numbers.iter().copied().zip(HashRange::even(children.max(1))) {
            // Ranges matter to producers alone: what follows all shards of a stream covers everything.
            stream.description.shards.push(ShardDescription {
                shard,
                range,
                open: true,
                parent: parents.first().copied(),
                adjacent_parent: parents.get(1).copied(),
                log: 0,
                lane: shard as u16 % lanes,
            });
            stream.shards.push(Shard::default());
        }
        numbers
    }

    fn subscribe(&mut self, subscribe: Subscribe) -> Result<Subscription, WireError> {
        self.consumers.subscribes.push(subscribe.clone());
        if let Some(error) = self.consumers.refusals.pop_front() {
            return Err(error);
        }
        let next = self.shard(subscribe.incarnation, subscribe.shard)?.start(subscribe.position)?;
        if !self.is_registered(&subscribe) {
            return Err(WireError::new(ErrorCode::ConsumerNotFound, "there is no such consumer"));
        }
        self.consumers.serial_last += 1;
        let serial = self.consumers.serial_last;
        let owner = self.consumers.owners.entry(place(&subscribe)).or_default();
        if owner.0 > subscribe.epoch {
            return Err(WireError::new(ErrorCode::Superseded, "somebody else has it").with_detail(owner.0, 0));
        }
        *owner = (subscribe.epoch, serial);
        self.consumers.granted += subscribe.credit;
        let credit = subscribe.credit as i64;
        Ok(Subscription { subscribe, serial, next, is_first: true, credit })
    }

    fn is_registered(&self, subscribe: &Subscribe) -> bool {
        let stream = self.streams.values().find(|stream| stream.description.incarnation == subscribe.incarnation);
        let place = stream.map(|stream| (stream.description.name.clone(), subscribe.consumer.clone()));
        place.is_some_and(|place| self.admin.is_registered(&place))
    }

    /// The next frame of a subscription, its kind of end included.
    fn push(&mut self, subscription: &mut Subscription) -> Option<Reply> {
        let end = |end| Some(Reply::PushEnd(end));
        if let Some(Twist::End(_)) = self.consumers.twists.front() {
            let Some(Twist::End(told)) = self.consumers.twists.pop_front() else { unreachable!("it was just seen") };
            return end(told);
        }
        if !self.is_registered(&subscription.subscribe) {
            return end(PushEnd::Deregistered);
        }
        if self.consumers.owners[&place(&subscription.subscribe)].1 != subscription.serial {
            return end(PushEnd::Superseded);
        }
        let shard = self.shard(subscription.subscribe.incarnation, subscription.subscribe.shard).ok()?;
        if subscription.next < shard.first_kept {
            return end(PushEnd::Trimmed(shard.first_kept));
        }
        let tip_sequence = shard.next_sequence();
        if subscription.next == tip_sequence {
            return shard.children.clone().and_then(|children| end(PushEnd::ShardEnd(children)));
        }
        let (next, is_first) = (subscription.next, subscription.is_first);
        let begins =
            |batch: &Batch| if is_first { batch.next_sequence() > next } else { batch.header().first_sequence >= next };
        let mut bytes = BytesMut::new();
        for batch in shard.batches.iter().filter(|batch| begins(batch)) {
            if subscription.credit <= 0 || bytes.len() >= PUSH_BYTES {
                break;
            }
            bytes.extend_from_slice(batch.bytes());
            subscription.credit -= batch.bytes().len() as i64;
            (subscription.next, subscription.is_first) = (batch.next_sequence(), false);
        }
        self.consumers.pushed += bytes.len() as u64;
        let behind_ms = tip_sequence - subscription.next;
        (!bytes.is_empty()).then(|| Reply::Push(Push { behind_ms, tip_sequence, batches: bytes.freeze() }))
    }
}

fn place(subscribe: &Subscribe) -> (u64, String, u32) {
    (subscribe.incarnation, subscribe.consumer.clone(), subscribe.shard)
}

/// Serves a subscription stream whose first frame has come.
pub(super) async fn serve(
    connection: Connection,
    shared: Arc<Shared>,
    (mut send, receive): (SendStream, RecvStream),
    (id, first): (u64, Subscribe),
) {
    let nth = shared.state.lock().unwrap().hellos as usize;
    shared.state.lock().unwrap().consumers.standing += 1;
    let (tell, mut requests) = mpsc::unbounded_channel();
    tell.send((id, Request::Subscribe(first))).unwrap();
    tokio::spawn(read(receive, tell));
    let mut changed = shared.changed.subscribe();
    let (mut subscriptions, mut pushes) = (BTreeMap::new(), None);
    loop {
        let is_mute = || nth <= shared.state.lock().unwrap().consumers.mute_until;
        let mut told = false;
        while let Ok((id, request)) = requests.try_recv() {
            told = true;
            if !is_mute()
                && let Some(reply) = take(&shared, &mut subscriptions, id, request)
            {
                answer(&mut send, id, &reply).await;
            }
        }
        let pushed = !is_mute() && push_each(&connection, &shared, &mut subscriptions, &mut pushes).await;
        if told || pushed {
            tokio::task::yield_now().await;
            continue;
        }
        if requests.is_closed() && requests.is_empty() || connection.close_reason().is_some() {
            break;
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some((id, request)) => {
                    if !is_mute() && let Some(reply) = take(&shared, &mut subscriptions, id, request) {
                        answer(&mut send, id, &reply).await;
                    }
                }
                None => break,
            },
            _ = changed.changed() => {}
        }
    }
    shared.state.lock().unwrap().consumers.standing -= 1;
}

async fn read(mut receive: RecvStream, tell: mpsc::UnboundedSender<(u64, Request)>) {
    while let Some((header, payload)) = frame(&mut receive).await {
        let request = Request::decode(header.kind, &payload).unwrap().expect("the client sends what it knows");
        let _ = tell.send((header.id, request));
    }
}

fn take(shared: &Shared, subscriptions: &mut BTreeMap<u64, Subscription>, id: u64, request: Request) -> Option<Reply> {
    let mut state = shared.state.lock().unwrap();
    match request {
        Request::Subscribe(subscribe) => {
            state.consumers.ids.push(id);
            match state.subscribe(subscribe) {
                Ok(subscription) => {
                    let next = subscription.next;
                    assert!(subscriptions.insert(id, subscription).is_none(), "subscription {id} is used twice");
                    Some(Reply::Subscribed(next))
                }
                Err(error) => Some(Reply::Error(error)),
            }
        }
        Request::Credit(bytes) => {
            state.consumers.granted += bytes;
            if let Some(subscription) = subscriptions.get_mut(&id) {
                subscription.credit += bytes as i64;
            }
            None
        }
        Request::Unsubscribe => {
            subscriptions.remove(&id);
            None
        }
        Request::Ping => Some(Reply::Pong),
        other => panic!("{other:?} on a subscription stream"),
    }
}

/// One push for each subscription that has something and may; whether there was any.
async fn push_each(
    connection: &Connection,
    shared: &Shared,
    subscriptions: &mut BTreeMap<u64, Subscription>,
    stream: &mut Option<SendStream>,
) -> bool {
    let mut pushed = false;
    for id in subscriptions.keys().copied().collect::<Vec<_>>() {
        let Some((mut bytes, twist)) = next_frame(shared, id, subscriptions) else { continue };
        pushed = true;
        if stream.is_none() {
            *stream = connection.open_uni().await.ok();
        }
        let Some(stream) = stream else { return false };
        let breaks = matches!(twist, Some(Twist::Break));
        if breaks {
            bytes.truncate(bytes.len() / 2);
        }
        let _ = stream.write_all(&bytes).await;
        if breaks {
            connection.close(51u32.into(), b"told to");
            return false;
        }
    }
    pushed
}

fn next_frame(
    shared: &Shared,
    id: u64,
    subscriptions: &mut BTreeMap<u64, Subscription>,
) -> Option<(BytesMut, Option<Twist>)> {
    let mut state = shared.state.lock().unwrap();
    let subscription = subscriptions.get_mut(&id)?;
    let before = subscription.next;
    let mut reply = state.push(subscription)?;
    let mut bytes = BytesMut::new();
    let Reply::Push(push) = &mut reply else {
        subscriptions.remove(&id);
        reply.write(id, &mut bytes);
        return Some((bytes, None));
    };
    let twist = state.consumers.twists.pop_front();
    let mut named = id;
    match &twist {
        None | Some(Twist::Push | Twist::Break | Twist::End(_)) => {}
        Some(Twist::Gap) => {
            let shard = state.shard(subscription.subscribe.incarnation, subscription.subscribe.shard).unwrap();
            let later = shard.batches.iter().find(|batch| batch.header().first_sequence > before).unwrap();
            push.batches = later.bytes().clone();
        }
        Some(Twist::Repeat) => {
            let shard = state.shard(subscription.subscribe.incarnation, subscription.subscribe.shard).unwrap();
            let last = shard.batches.iter().find(|batch| batch.next_sequence() >= before).unwrap();
            push.batches = [last.bytes().clone(), push.batches.clone()].concat().into();
        }
        Some(Twist::WrongShard) => {
            let mut header = BatchHeader::decode(&push.batches).unwrap();
            header.shard += 1;
            push.batches = [&header.encode(), &push.batches[HEADER_BYTES..]].concat().into();
        }
        Some(Twist::Corrupt) => {
            let mut changed = push.batches.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            push.batches = Bytes::from(changed);
        }
        Some(Twist::BeyondCredit) => subscription.credit = i64::MAX / 2,
        Some(Twist::UnknownSubscription) => named = u64::MAX,
        Some(Twist::Raw(raw)) => {
            bytes.extend_from_slice(raw);
            return Some((bytes, twist));
        }
    }
    reply.write(named, &mut bytes);
    Some((bytes, twist))
}
