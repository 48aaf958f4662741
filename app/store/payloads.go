package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// The objects that a batch queues lie together, compressed, beside their rows of the outbox: they say much the same, and take a tenth of
// the space so. A block has a line for each row from its first to its last; the line of a row that was dropped within the batch is empty.
// It goes when the rows up to its last have left the outbox.

// packer compresses the blocks and reads them again, on the caller's goroutine. It is the writer's, and ready at its zero value.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	// lines and packed are room that the next block uses again.
	lines, packed []byte
}

// maxRoom bounds the room that is kept for the next block, in bytes.
const maxRoom = 4 << 20

// pack compresses lines, which it keeps as room for the next block. What it returns is good until then.
func (p *packer) pack(lines []byte) (packed []byte, err error) {
	if p.encoder == nil {
		p.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<18))
		if err != nil {
			return nil, fmt.Errorf("preparing to compress: %w", err)
		}
	}
	packed = p.encoder.EncodeAll(lines, p.packed[:0])
	p.lines, p.packed = keepRoom(lines), keepRoom(packed)
	return packed, nil
}

// unpack gives the lines of a block.
func (p *packer) unpack(packed []byte) (lines []byte, err error) {
	if p.decoder == nil {
		if p.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err != nil {
			return nil, fmt.Errorf("preparing to decompress: %w", err)
		}
	}
	return p.decoder.DecodeAll(packed, nil)
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
func (p *packer) readBlock(ctx context.Context, tx *transaction, seq int64) (payloadBlock, error) {
	var stored struct {
		First    int64  `db:"first"`
		Last     int64  `db:"last"`
		Payloads []byte `db:"payloads"`
	}
	err := tx.GetContext(ctx, &stored, `SELECT first, last, payloads FROM payload_block WHERE first <= ?1 AND last >= ?1 ORDER BY first DESC LIMIT 1`, seq)
	if err != nil {
		return payloadBlock{}, fmt.Errorf("reading the object of row %d: %w", seq, err)
	}
	lines, err := p.unpack(stored.Payloads)
	if err != nil {
		return payloadBlock{}, fmt.Errorf("reading the object of row %d: %w", seq, err)
	}
	return payloadBlock{next: stored.First, last: stored.Last, lines: lines}, nil
}

// readObject goes on to a row's line and gives its object; where that lies behind the block, it reads the next one.
func (p *packer) readObject(ctx context.Context, tx *transaction, b *payloadBlock, seq int64) (line []byte, err error) {
	if seq > b.last {
		if *b, err = p.readBlock(ctx, tx, seq); err != nil {
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
