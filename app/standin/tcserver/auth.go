package tcserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signature is what a request of that target, method and time in Unix seconds has to carry
// (app/docs/threatconnect.md#authentication): the target is the path with its query exactly as sent.
func Signature(secretKey, target, method string, unix int64) string {
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write([]byte(target + ":" + method + ":" + strconv.FormatInt(unix, 10)))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// checkCredentials checks the signature over the target as it came in, or the token.
func (s *Server) checkCredentials(r *http.Request) error {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch scheme {
	case "TC":
		return s.checkSignature(r, credentials)
	case "TC-Token":
		if !s.validToken(credentials) {
			return newRefusal(http.StatusUnauthorized, "", "Unauthorized")
		}
		return nil
	}
	return newRefusal(http.StatusUnauthorized, "", "Access Denied")
}

func (s *Server) checkSignature(r *http.Request, credentials string) error {
	accessID, signature, _ := strings.Cut(credentials, ":")
	unix, err := strconv.ParseInt(r.Header.Get("Timestamp"), 10, 64)
	if err != nil {
		return newRefusal(http.StatusUnauthorized, "", "Invalid timestamp")
	}
	if skew := s.now().Sub(time.Unix(unix, 0)); skew > maxSkew || skew < -maxSkew {
		return newRefusal(http.StatusUnauthorized, "", "Timestamp out of acceptable time range")
	}
	secretKey, ok := s.secretKey(accessID)
	if !ok {
		return newRefusal(http.StatusUnauthorized, "", "Access Denied")
	}
	if !hmac.Equal([]byte(Signature(secretKey, r.RequestURI, r.Method, unix)), []byte(signature)) {
		return newRefusal(http.StatusUnauthorized, "", "Signature data did not match expected result")
	}
	return nil
}

func (s *Server) secretKey(accessID string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.AccessID == accessID {
			return u.SecretKey, true
		}
	}
	return "", false
}

func (s *Server) validToken(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.tokens[token]
	return ok && (expires.IsZero() || time.Now().Before(expires))
}

// SetSecretKey changes the secret key of a user.
func (s *Server) SetSecretKey(accessID, secretKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.users {
		if s.users[i].AccessID == accessID {
			s.users[i].SecretKey = secretKey
		}
	}
}

// IssueToken makes a token that is valid for that long.
func (s *Server) IssueToken(life time.Duration) string {
	token := "APIV2:1:" + rand.Text() + "="
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = time.Now().Add(life)
	return token
}

// RevokeTokens makes all tokens invalid.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}
