//! Bodies of answers: whole ones, and frames that are made as the peer takes them.
//!
//! What must hold: the next frame is asked for when the one before was taken and not earlier, so that a peer
//! that does not read costs one frame; whoever makes frames hears of the end of the answer by being dropped,
//! whatever ended it; when the broker stops, an answer in frames ends after a whole one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::crowd::Asking;
use super::delivery::Delivery;
use crate::standing::{StandingWatch, stops};

/// What is sent of a body at once. A peer that takes less than this in the time for which a piece may wait is
/// given up.
pub(super) const PIECE_BYTES_MAX: usize = 64 << 10;

/// The body of an answer.
#[derive(Default)]
pub(super) struct AnswerBody {
    /// What is made and not handed over.
    rest: Bytes,
    /// Where more comes from; a whole body has no more.
    frames: Option<Frames>,
    delivery: Delivery,
    /// Whoever is sent something is not silent.
    asking: Option<Asking>,
}

/// Frames of an answer, made one at a time.
pub(crate) struct Frames {
    make: Box<Make>,
    /// Ready when the broker stops.
    stops: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

type Make = dyn FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Send;

impl Frames {
    /// Frames that `next` makes from what it is given, which it gives back with each. Nothing is the end.
    pub(crate) fn new<M, N, F>(from: M, next: N) -> Frames
    where
        N: Fn(M) -> F + Send + 'static,
        F: Future<Output = Option<(Bytes, M)>> + Send + 'static,
    {
        // Nothing of it is done before it is polled.
        let mut asked = Some(Box::pin(next(from)));
        let make = move |cx: &mut Context<'_>| {
            let Some(making) = &mut asked else { return Poll::Ready(None) };
            let made = ready!(making.as_mut().poll(cx));
            let (frame, from) = made.unzip();
            asked = from.map(|from| Box::pin(next(from)));
            Poll::Ready(frame)
        };
        Frames { make: Box::new(make), stops: None }
    }

    /// The same frames, until the broker stops.
    pub(super) fn until_stop(mut self, mut standing: StandingWatch) -> Frames {
        self.stops = Some(Box::pin(async move { stops(&mut standing).await }));
        self
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.stops.as_mut().is_some_and(|stops| stops.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        (self.make)(cx)
    }
}

impl AnswerBody {
    /// This body, as soon as there is room for it.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> AnswerBody {
        AnswerBody::of(bytes.into(), None)
    }

    /// These frames.
    pub(super) fn frames(frames: Frames) -> AnswerBody {
        AnswerBody::of(Bytes::new(), Some(frames))
    }

    fn of(rest: Bytes, frames: Option<Frames>) -> AnswerBody {
        AnswerBody { rest, frames, delivery: Delivery::default(), asking: None }
    }

    /// Has its delivery watched by the work in which this is called; the request lasts as long as it does.
    pub(super) fn answering(mut self, asking: Asking) -> AnswerBody {
        self.delivery = Delivery::here();
        self.asking = Some(asking);
        self
    }

    /// Bytes of a whole body.
    pub(super) fn len(&self) -> Option<usize> {
        self.frames.is_none().then_some(self.rest.len())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.delivery.taken();
        if self.rest.is_empty() {
            let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
            match ready!(frames.poll_next(cx)) {
                Some(frame) => self.rest = frame,
                None => {
                    // It is dropped now, whenever the end is written.
                    self.frames = None;
                    return Poll::Ready(None);
                }
            }
        }
        let piece_len = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(piece_len);
        self.delivery.handed();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, |len| SizeHint::with_exact(len as u64))
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.delivery.taken();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_handed_over_in_pieces_and_ends() {
        let len = 2 * PIECE_BYTES_MAX + 1;
        let mut whole = AnswerBody::whole(vec![7; len]);
        assert_eq!((whole.size_hint().exact(), whole.is_end_stream()), (Some(len as u64), false));
        let mut lens = Vec::new();
        while let Some(Ok(frame)) = whole.frame().await {
            lens.push(frame.data_ref().expect("it is data").len());
        }
        assert_eq!((lens, whole.is_end_stream()), (vec![PIECE_BYTES_MAX, PIECE_BYTES_MAX, 1], true));
        let counted = Frames::new(0, |at| async move { (at < 3).then(|| (Bytes::from(vec![at; 10]), at + 1)) });
        let made = AnswerBody::frames(counted).collect().await.expect("it cannot fail").to_bytes();
        assert_eq!(made, [[0; 10], [1; 10], [2; 10]].concat());
    }
}
