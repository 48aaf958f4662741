package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// The objects that a batch queues lie together, compressed, beside their rows of the outbox: they say much the same, and take an eighth of
// the space so. A block has a line for each row from its first to its last; the line of one that was dropped or settled before the block was
// written is empty. It goes when the rows up to its last have left the outbox.

// packer compresses the blocks. It is the writer's, and ready at its zero value.
type packer struct {
	// lines and packed are room that the next block uses again; Apply writes an object there before it knows how long that is.
	lines, packed []byte
}

// maxRoom bounds the room that is kept for the next block, in bytes.
const maxRoom = 4 << 20

// checksumBytes is the length of the CRC-32C that stands before a block: S2 does not notice every damage by itself.
const checksumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack compresses lines, which it keeps as room for the next block. What it returns is good until then.
func (p *packer) pack(lines []byte) []byte {
	room := slices.Grow(p.packed[:0], checksumBytes+s2.MaxEncodedLen(len(lines)))
	compressed := s2.Encode(room[checksumBytes:cap(room)], lines)
	packed := room[:checksumBytes+len(compressed)]
	binary.BigEndian.PutUint32(packed, crc32.Checksum(compressed, castagnoli))
	p.lines, p.packed = keepRoom(lines), keepRoom(packed)
	return packed
}

// unpack gives the lines of a block.
func unpack(packed []byte) (lines []byte, err error) {
	if len(packed) < checksumBytes || binary.BigEndian.Uint32(packed) != crc32.Checksum(packed[checksumBytes:], castagnoli) {
		return nil, errors.New("the block is damaged: its checksum differs")
	}
	return s2.Decode(nil, packed[checksumBytes:])
}

// keepRoom gives room that may be used again, nil for too much of it.
func keepRoom(b []byte) []byte {
	if cap(b) > maxRoom {
		return nil
	}
	return b
}

var insertBlock = newSingle(3, `INSERT INTO payload_block (first, last, payloads) VALUES (?1, ?2, ?3)`)

// payloadBlock is a block that is read from its first line to its last.
type payloadBlock struct {
	next, last int64
	lines      []byte
}

// readBlock reads the block in which a row's object lies.
func readBlock(ctx context.Context, tx *transaction, seq int64) (payloadBlock, error) {
	var stored struct {
		First    int64  `db:"first"`
		Last     int64  `db:"last"`
		Payloads []byte `db:"payloads"`
	}
	err := tx.GetContext(ctx, &stored, `SELECT first, last, payloads FROM payload_block WHERE first <= ?1 AND last >= ?1 ORDER BY first DESC LIMIT 1`, seq)
	if err != nil {
		return payloadBlock{}, fmt.Errorf("reading the object of row %d: %w", seq, err)
	}
	lines, err := unpack(stored.Payloads)
	if err != nil {
		return payloadBlock{}, fmt.Errorf("reading the object of row %d: %w", seq, err)
	}
	return payloadBlock{next: stored.First, last: stored.Last, lines: lines}, nil
}

// readObject goes on to a row's line and gives its object; where that lies behind the block, it reads the next one.
func (b *payloadBlock) readObject(ctx context.Context, tx *transaction, seq int64) (line []byte, err error) {
	if seq > b.last {
		if *b, err = readBlock(ctx, tx, seq); err != nil {
			return nil, err
		}
	}
	for ; b.next <= seq; b.next++ {
		line, b.lines, _ = bytes.Cut(b.lines, []byte{'\n'})
	}
	return line[:len(line):len(line)], nil
}

// dropBlocks drops the blocks whose rows have all left the outbox.
func dropBlocks(ctx context.Context, tx *transaction) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM payload_block WHERE last < coalesce((SELECT min(seq) FROM outbox), 1 << 62)`)
	if err != nil {
		return fmt.Errorf("dropping the objects that were sent: %w", err)
	}
	return nil
}
