package main

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/standin/tcserver"
)

// addUnknowns adds the switches for what is not known for sure about the API.
func addUnknowns(u *tcserver.Unknowns) {
	flag.StringVar(&u.AuthFailure, "auth-failure", tcserver.AuthPlain, "shape of the answer to a failed authentication: code, version or page; message and status when empty")
	flag.BoolVar(&u.Lenient, "lenient", false, "pass over fields and sorting keywords that do not exist")
	flag.BoolVar(&u.RefusePastEnd, "refuse-past-end", false, "refuse a resultStart behind the last row")
	flag.BoolVar(&u.HideInactive, "hide-inactive", false, "never list inactive indicators")
	flag.DurationVar(&u.ClockAhead, "clock-ahead", 0, "by which the clock of ThreatConnect is ahead")
	flag.Func("zone", "of dates in TQL without one, such as Europe/Vienna; UTC when not given", func(name string) (err error) {
		u.Zone, err = time.LoadLocation(name)
		return err
	})
	flag.Func("now-units", "the units that NOW() knows, such as HOUR,DAY; all when not given", func(list string) error {
		u.NowUnits = strings.Split(strings.ToUpper(list), ",")
		return nil
	})
	flag.Func("withhold", "fields that the user may not ask for, separated by commas", func(list string) error {
		u.Withheld = strings.Split(list, ",")
		return nil
	})
}

// checkUnknowns refuses what no switch of the stand-in can be set to.
func checkUnknowns(u tcserver.Unknowns) error {
	switch u.AuthFailure {
	case tcserver.AuthPlain, tcserver.AuthCode, tcserver.AuthVersion, tcserver.AuthPage:
		return nil
	}
	return fmt.Errorf("-auth-failure %s: use code, version or page", u.AuthFailure)
}
