package threatconnect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// authorizeRequest proves who asks, by the token or by a signature of this moment
// (app/docs/threatconnect.md#authentication).
func (c *Client) authorizeRequest(req *http.Request) error {
	if c.options.Token != nil {
		token, err := c.options.Token(req.Context())
		if err != nil {
			return fmt.Errorf("get the API token: %w", err)
		}
		req.Header.Set("Authorization", "TC-Token "+token)
		return nil
	}
	SignRequest(req, c.options.AccessID, c.options.SecretKey())
	return nil
}

// SignRequest signs a request as an API user, at this moment (app/docs/threatconnect.md#authentication). The key is used
// as it stands, blanks included. Nothing that the signature covers, method, path and query, may change afterwards.
func SignRequest(req *http.Request, accessID, secretKey string) {
	signAt(req, accessID, secretKey, time.Now())
}

func signAt(req *http.Request, accessID, secretKey string, at time.Time) {
	signature := computeSignature(secretKey, req.Method, req.URL.RequestURI(), at.Unix())
	req.Header.Set("Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Authorization", "TC "+accessID+":"+signature)
}

// computeSignature signs the target of a request, which is its path with its query, byte for byte as it goes over the
// wire, at a time in Unix seconds.
func computeSignature(secret, method, target string, seconds int64) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s:%s:%d", target, method, seconds)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
