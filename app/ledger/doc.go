// Package ledger is the rules by which the Service decides what Sentinel is to hold: which copy of an object wins, when it is
// sent, and when it is retired. It is pure: it knows no SQL and reads no clock. app/store loads the rows that a decision is
// about, calls this package, and writes the rows that changed. Where one SQL statement carries out a transition for many rows,
// it bears the transition's name, and a property test holds it to the function here.
//
// # Objects and candidates
//
// An [Object] is one observable, and one STIX object: its id follows from its pattern, so that it is the same for ever. A
// [Candidate] is an indicator that a query selects and that gives the object. The ledger keeps all of them. The [Origin] that
// wins the object is its winner: this copy is sent, and no other.
//
// # Precedence
//
//  1. The query in the highest position on CONFIGURE wins. Within one query the first in its order wins, and stays the winner
//     until it is gone or an update that reads everything decides again.
//  2. An update that reads everything (full, reconcile) reads the queries in rank order: the first copy that it reads wins. What
//     a query gave that could not be read in this update still counts: a lower copy does not take over from it.
//  3. A delta update reads only what changed. It asks the ledger, that is all candidates, who is to win. A copy that changed is
//     not sent while a better one stands. Where a better copy should win that was not read, the object becomes vacant, and the
//     copy is asked for by its id.
//  4. An indicator that is read again and no longer gives the object is no candidate any more. One on which its mapper failed
//     keeps what it gave.
//  5. When the winner goes away, the object is vacant, and the next candidate takes its place. An object that no candidate
//     is left for has departed.
//  6. A query that was deleted has no rank and wins nothing. Its candidates go with the next update that reads everything.
//
// # Sending
//
// A winner is sent when its lastModified is newer than recorded for the object or its content differs (see
// stix.Indicator.ContentHash), in a full update always, once a job. A row that waits in the outbox and cannot have left yet is
// replaced by a newer one.
//
// What a query says of the objects that it gives, its [Settings], is a part of their content, and decides with the winner: those of
// the query that wins an object hold, and no others. A copy below the confidence floor of its query, or of no confidence, is not
// selected by it: the query was asked for it and it gives no object, as one whose value was edited away. A query of other settings is
// read whole by the next update, so that what stands of it is sent as they say now.
//
// An object keeps the created with which it was first sent, and with it valid_from, whichever copy wins later and whatever its
// dateAdded: STIX wants created to stay for ever with an id. It is decided by the first row that Sentinel took or may have taken,
// and kept as long as the ledger knows the object, retired or not. A row that never left decides nothing.
//
// # Departure
//
// An object departs when its last candidate goes. A candidate goes
//
//   - when ThreatConnect lists its indicator as deleted or inactive and its query, asked for it by id, does not return it. Every
//     delta update asks for these lists, owner by owner, and so does an update that reads everything where a query failed;
//   - when an update read everything that its query selects, the indicator was not among it, and the query, asked for it by id, does
//     not return it either. That it did not come counts only where the query was read to its end, with all of its owners there before
//     and after, and without a row that nobody can read;
//   - when the indicator is read again and does not give the object any more, which one below the confidence floor does not either;
//   - with a deleted query, in the next update that reads everything and in which every query was read.
//
// Nothing departs because something could not be read. An answer is looked at in the light of the owners that the API user sees
// after it: where one is missing, nothing is forgotten for a query that looks there.
//
// An object that departed knows how it was lost ([Loss]). What ThreatConnect lists as gone is certain. What a query only did not
// return is uncertain: a query that could not be read may select it by now.
//
// # Retirement and the brake
//
// A departed object is retired where it stands in Sentinel or may stand there: it goes out once more as it was last sent, with an
// end that is now. An object whose time to live has passed needs nothing. An update in which a query could not be read retires what
// was lost certainly, and what was lost otherwise waits for one in which every query was read. Where a list could not be read, the
// marks of the queries that look in that owner stay, so that it is asked for again; no query fails for that. When Sentinel rejects a
// retirement, the object departs once more, for the next update that reads everything.
//
// An update that would retire more than [BrakeObjects] objects, and more than one in [BrakePart] of those that are live, asks
// the operator first, and retires nothing until then; nothing else waits for the answer. Departures are counted in generations; a
// question closes the present one, so that what departs later is another question (see [Question]). A newer update that reads
// everything replaces the question; a delta update beside it, or one in which a query failed, leaves alone what it is about. A
// question is about what is certain: where every query was read, all that departed is by then, and what is not leaves with the
// generation after it. What was dismissed stays until its time to live ends, and is asked about again only together with something
// new.
//
// # Workspace and source name
//
// The ledger belongs to a workspace and a source name. When the source name changes, every object departs under the old name, and
// a full update follows. Where Sentinel rejects a retirement under a former name, the next update that reads everything queues it once more.
// When the workspace changes, a new ledger begins with a full update, and the old workspace is left to its
// times to live: its objects are abandoned, and should it be served again they are some that departed.
//
// # Verification
//
// On demand the ledger is compared with what Sentinel's table shows under the source name ([Compare]), object by object in the order
// of their ids. What Sentinel accepted within [IngestionBound], what is in the outbox, and what the next update decides about anyway,
// is too new to tell and never a difference. Else it is one where
//
//   - the ledger says that an object is live, and the workspace has no active row of it: it is missing;
//   - in the workspace it ends earlier than it was sent, or has ended: it has expired;
//   - it stands otherwise than it was sent: another end, another name, a pattern that is not its own; or it stands though what was
//     sent of it has ended, and a query gives it: it has other content;
//   - the workspace has an active row, and the ledger knows nothing live that gives it: it is unexpected.
//
// What is compared is what the ledger keeps. It does not keep the time modified as it was sent, tags and the like.
//
// What is missing, has expired or has other content is sent again: its winner is taken away ([Object.SendAgain]), so that the next
// update asks for it and sends it. What is unexpected is retired: the ledger takes it in as the workspace has it, as an object that
// departed ([Object.Adopt]). So it is retired by the next update in which every query was read, unless a query gives it, and the brake
// holds as it does for all that departs.
//
// # The states of an object
//
// Five things are known of an object, each with its own states:
//
//	who gives it        [Holder]     Won       a candidate wins it
//	                                 Vacant    the winner went away; the next candidate was not asked for yet
//	                                 Nobody    nobody gives it, and nothing is left to do about that
//	how it was lost     [Loss]       Unselected  every query was read, none gives it, and the operator was asked
//	                                 Certain   it is on ThreatConnect's lists
//	                                 Uncertain a query did not return it
//	                                 Disputed  Sentinel rejected its retirement
//	what Sentinel holds [State]      Nothing   no row was ever accepted
//	                                 Live      the object stands or may stand, until ValidUntil
//	                                 Retired   its retirement was accepted
//	what is on its way  [Passage]    None      no row is in the outbox
//	                                 Waiting   its newest row was not handed to Upload, or taken back before it left: it may still be dropped
//	                                 UnderWay  its newest row was handed to Upload: it may be at Sentinel and must be answered
//	when it departs     [Departure]  Free      it may be retired
//	                                 Asked     it waits for the operator's answer
//	                                 Kept      it stays by the operator's choice
//
// Each transition is a method:
//
//	[WorkingSet.Take]           new → Vacant → Won; Won → Won by another; Won → Vacant (withdrawn, or a better copy must be asked for)
//	[Object.Withdraw]           Won → Vacant (its candidate was forgotten or swept)
//	[Object.Depart]             Vacant → Nobody, and a retirement is queued where the object may stand
//	[Object.MakeCertain]        Uncertain, Disputed → Unselected (the operator is asked about it)
//	[Object.Postpone]           Vacant, not Certain → departs in the next generation (the question is not about it)
//	[Object.SendAgain]          Won → Vacant (the workspace does not hold what it should)
//	[Object.Adopt]              Nobody, Vacant → Vacant, any → Live (the workspace holds it, and the ledger did not know)
//	[Object.Abandon]            any → Vacant (the workspace was left)
//	[Object.DropRow]            Waiting, UnderWay → None, or UnderWay by an older row; any → Vacant (its job was cancelled, or the workspace left)
//	[Object.Accept]             any → Live
//	[Object.AcceptRetirement]   any → Retired
//	[Object.Reject]             the row was answered, and what Sentinel holds stays; any → Live where an answer to the row was lost before
//	[Object.RejectRetirement]   Nobody → Vacant, Disputed, where the object stands
//	[Object.RetireAgain]        Disputed → Uncertain (the operator retries it on REPORT)
//	[Object.AssumeAccepted]     any → Live (a row was under way when its answer was given up)
package ledger
