package emailaddress

import (
	"testing"

	"mssentinel/plugins/mapper/mappertest"
)

func TestGolden(t *testing.T) { mappertest.Golden(t, New("1.0.0")) }
