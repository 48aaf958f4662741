package web

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// activityView is the answer of GET api/activity. Days are UTC; To is today.
type activityView struct {
	Days int    `json:"days"`
	From string `json:"from"`
	To   string `json:"to"`
	// Daily has every day, the oldest first.
	Daily []dayView `json:"daily"`
	Live  liveView  `json:"live"`
}

// dayView is what was done on a day.
type dayView struct {
	Date  string     `json:"date"`
	Types []typeView `json:"types"`
	// WaitingSeconds is for how long Sentinel's limit made Upload wait.
	WaitingSeconds float64      `json:"waiting_seconds"`
	Updates        []updateView `json:"updates"`
}

// typeView is what Sentinel answered about objects of a type of ThreatConnect.
type typeView struct {
	Type     string `json:"type"`
	Sent     int64  `json:"sent"`
	Rejected int64  `json:"rejected"`
	Retired  int64  `json:"retired"`
}

// updateView is how long the attempts at updates took that ended on a day.
type updateView struct {
	// Mode is delta, full or reconcile.
	Mode           job.Mode `json:"mode"`
	Attempts       int64    `json:"attempts"`
	Seconds        float64  `json:"seconds"`
	LongestSeconds float64  `json:"longest_seconds"`
}

// liveView is how many objects stood in Sentinel when they were last counted.
type liveView struct {
	// AsOf is null before the first count.
	AsOf    *time.Time  `json:"as_of"`
	Total   int64       `json:"total"`
	ByType  []totalView `json:"by_type"`
	ByOwner []totalView `json:"by_owner"`
	// OtherOwners is how many objects are of owners beyond the 500 with most, Unowned how many no query selects any more.
	OtherOwners int64 `json:"other_owners"`
	Unowned     int64 `json:"unowned"`
}

// totalView is how many objects are of a type or an owner.
type totalView struct {
	Name    string `json:"name"`
	Objects int64  `json:"objects"`
}

// tellActivity is GET api/activity?days=.
func (s *server) tellActivity(c echo.Context) error {
	days, err := readDays(c)
	if err != nil {
		return err
	}
	to := startOfDay(time.Now())
	from := to.AddDate(0, 0, 1-days)
	daily, err := s.collectDays(c.Request().Context(), from, to)
	if err != nil {
		return err
	}
	live, err := s.Store.LiveTotals(c.Request().Context())
	if err != nil {
		return err
	}
	view := activityView{Days: days, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), Live: newLiveView(live)}
	for _, d := range daily {
		view.Daily = append(view.Daily, newDayView(d))
	}
	return c.JSON(http.StatusOK, view)
}

func newDayView(d *activityDay) dayView {
	v := dayView{Date: d.first.Format(time.DateOnly), Types: []typeView{}, WaitingSeconds: secondsOf(d.waited), Updates: []updateView{}}
	for _, name := range slices.Sorted(maps.Keys(d.types)) {
		t := d.types[name]
		v.Types = append(v.Types, typeView{name, t.Sent, t.Rejected, t.Retired})
	}
	for _, mode := range slices.Sorted(maps.Keys(d.updates)) {
		u := d.updates[mode]
		v.Updates = append(v.Updates, updateView{mode, u.Attempts, secondsOf(u.Took), secondsOf(u.Longest)})
	}
	return v
}

// secondsOf are seconds to the millisecond, without the digits that a binary fraction adds.
func secondsOf(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func newLiveView(t store.LiveTotals) liveView {
	v := liveView{AsOf: optionalTime(t.AsOf), Total: t.Total, ByType: []totalView{}, ByOwner: []totalView{}, Unowned: t.Unowned}
	for _, n := range t.Types {
		v.ByType = append(v.ByType, totalView(n))
	}
	for i, n := range t.Owners {
		if i < maxOwners {
			v.ByOwner = append(v.ByOwner, totalView(n))
		} else {
			v.OtherOwners += n.Objects
		}
	}
	return v
}
