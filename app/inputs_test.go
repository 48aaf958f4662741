package main

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"mssentinel/app/config"
)

// Each input of the platform arrives where the protocol asks for it by the same name.
func TestPlatformInputs(t *testing.T) {
	c := config.Config{TCAPIPath: "https://tc.example/api", Platform: &config.PlatformInputs{}}
	from := reflect.ValueOf(c.Platform).Elem()
	for i := range from.NumField() {
		f := from.Field(i)
		switch f.Interface().(type) {
		case string:
			f.SetString(from.Type().Field(i).Name)
		case int:
			f.SetInt(int64(i))
		case bool:
			f.SetBool(true)
		case time.Duration:
			f.Set(reflect.ValueOf(time.Duration(i)))
		case config.Secret:
			f.Set(reflect.ValueOf(config.NewSecret(from.Type().Field(i).Name)))
		default:
			t.Fatalf("no value for %s", from.Type().Field(i).Name)
		}
	}
	in := platformInputs(c)
	to := reflect.ValueOf(in)
	for i := range from.NumField() {
		name, want := from.Type().Field(i).Name, from.Field(i).Interface()
		if secret, is := want.(config.Secret); is {
			want = secret.Reveal()
		}
		if got := to.FieldByName(name); !got.IsValid() || got.Interface() != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	if in.API.BaseURL != c.TCAPIPath || in.API.HTTP == nil {
		t.Errorf("got %+v", in.API)
	}
}

func TestNetworkOf(t *testing.T) {
	proxy := config.Proxy{Host: "proxy", Port: 3128, User: "u", Password: config.NewSecret("p"), TC: true}
	n := networkOf(config.Config{Verify: true, Proxy: proxy})
	if got := fmt.Sprint(n); got != "{proxy 3128 u p true false false}" {
		t.Errorf("got %s", got)
	}
	for verify, skip := range map[bool]bool{true: false, false: true} {
		api := platformAPI(config.Config{Verify: verify})
		if got := api.HTTP.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify; got != skip {
			t.Errorf("tc_verify is %v, and certificates are not verified: %v", verify, got)
		}
	}
}
