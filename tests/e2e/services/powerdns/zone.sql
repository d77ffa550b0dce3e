INSERT INTO domains (id, name, type) VALUES (100001, 'example.org', 'NATIVE');
INSERT INTO records (domain_id, name, type, content, ttl) VALUES
 (100001, 'example.org', 'SOA', 'ns.example.org hostmaster.example.org 1 3600 600 86400 60', 60),
 (100001, 'www.example.org', 'A', '192.0.2.1', 60);
