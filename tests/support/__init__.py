"""What tests share: servers, browsers, small networks, hostile files and a crowd."""
