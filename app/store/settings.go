package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The names of settings.
const (
	settingOpened       = "opened"
	settingHanded       = "outbox_handed"
	settingQueryVersion = "query_version"
	settingNextMode     = "next_mode"
	settingDue          = "due"
	settingScheduled    = "last_scheduled"
	settingFullRead     = "last_full_read"
	settingCompleted    = "completed"
	settingWindowEnd    = "last_window_end"
	settingNotified     = "notified"
	settingVerification = "verification"
	settingLiveCounted  = "live_counted"
	settingIndexed      = "last_indexed" // the newest object whose key is in object_key
)

func putSetting(ctx context.Context, tx *transaction, name, value string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	return nil
}

func putTime(ctx context.Context, tx *transaction, name string, t time.Time) error {
	return putSetting(ctx, tx, name, strconv.FormatInt(toMillis(t), 10))
}

// readSetting gives "" where nothing was kept.
func readSetting(ctx context.Context, q querier, name string) (string, error) {
	var v string
	err := q.GetContext(ctx, &v, `SELECT value FROM setting WHERE name = ?`, name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return v, nil
}

func numberSetting(ctx context.Context, q querier, name string) (int64, error) {
	v, err := readSetting(ctx, q, name)
	if err != nil || v == "" {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", name, err)
	}
	return n, nil
}

// timeSetting is the zero time where nothing was kept.
func timeSetting(ctx context.Context, q querier, name string) (time.Time, error) {
	ms, err := numberSetting(ctx, q, name)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return fromMillis(ms), nil
}
